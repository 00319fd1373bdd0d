/** The characters of HTTP/1.1 (RFC 9110, section 5; RFC 3986), for `StrictParser`. */

const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
export const isToken = (text: string): boolean => text !== "" && [...text].every((char) => tchar.includes(char))
export const isDigits = (text: string): boolean => text !== "" && [...text].every((char) => char >= "0" && char <= "9")
export const isHex = (text: string): boolean =>
  text !== "" && [...text].every((char) => "0123456789abcdef".includes(char.toLowerCase()))
export const isText = (text: string): boolean =>
  [...text].every((char) => char === "\t" || (char >= " " && char !== "\u007f"))
export const isVisible = (text: string): boolean =>
  text !== "" && [...text].every((char) => char > " " && char < "\u007f")

const hostChars = "-._~!$&'()*+;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** `uri-host [ ":" port ]` (RFC 9110, section 7.2; RFC 3986, section 3.2.2), with a host. */
export const isHost = (text: string): boolean => {
  const bracket = text.startsWith("[") ? text.indexOf("]") : -1
  const colon = text.indexOf(":", bracket + 1)
  const host = colon < 0 ? text : text.slice(0, colon)
  if (colon >= 0 && text.slice(colon + 1) !== "" && !isDigits(text.slice(colon + 1))) return false
  if (bracket >= 0) {
    return bracket === host.length - 1 && bracket > 2 &&
      Array.from(host.slice(1, -1)).every((char) => isHex(char) || ":.".includes(char))
  }
  for (let i = 0; i < host.length; i++) {
    if (host[i] === "%" && i + 2 < host.length && isHex(host.slice(i + 1, i + 3))) i += 2
    else if (!hostChars.includes(host[i]!)) return false
  }
  return host !== ""
}

/** The authority of a target in absolute form (RFC 9112, section 3.2.2), if it is one. */
export const authority = (target: string): string | undefined => {
  const scheme = ["http://", "https://"].find((each) => target.toLowerCase().startsWith(each))
  if (scheme === undefined) return undefined
  const rest = target.slice(scheme.length)
  const end = [...rest].findIndex((char) => "/?#".includes(char))
  return end < 0 ? rest : rest.slice(0, end)
}

/** `chunk-ext` (RFC 9112, section 7.1.1), without whitespace; perhaps with values that are empty. */
export const isExtensions = (text: string, anyValue = false): boolean => {
  let at = 0
  const token = (): boolean => {
    const from = at
    while (at < text.length && tchar.includes(text[at]!)) at++
    return at > from
  }
  while (at < text.length) {
    if (text[at++] !== ";" || !token()) return false
    if (text[at] !== "=") continue
    at++
    if (anyValue && (at === text.length || text[at] === ";")) continue
    if (text[at] !== "\"") {
      if (!token()) return false
      continue
    }
    for (at++; text[at] !== "\""; at++) {
      if (text[at] === "\\") at++
      if (at >= text.length || !isText(text[at]!)) return false
    }
    at++
  }
  return true
}
