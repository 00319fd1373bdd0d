// Clients, upstreams and errors of code have a say in what is logged, and a terminal takes some of it for commands: what is not printed
// (C0, DEL, C1), and what some readers take for the end of a line.
// oxlint-disable-next-line no-control-regex
const commands = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g

const hex = (char: string, width: number): string => char.charCodeAt(0).toString(16).padStart(width, "0")

const escape = (char: string): string => char < "\u0100" ? `\\x${hex(char, 2)}` : `\\u${hex(char, 4)}`

/** A text that may have lines, as it is. */
export const printable = (text: string): string => text.replaceAll(commands, escape)

/** What stands between quotes in a line: a quote ends nothing. */
export const quotable = (text: string): string => printable(text.replaceAll(/[\t\n"\\]/g, escape))

/** What JSON lets pass; it stays the same value. */
export const printableJson = (json: string): string => json.replaceAll(commands, (char) => `\\u${hex(char, 4)}`)
