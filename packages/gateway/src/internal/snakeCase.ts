/** What a library says of an option, which it calls as a program does, in the words of a config file. */
export const inSnakeCase = (text: string): string =>
  text.replaceAll(
    /\b[a-z]+(?:[A-Z][a-z]+)+\b/g,
    (name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  )
