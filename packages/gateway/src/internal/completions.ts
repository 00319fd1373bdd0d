import * as Completions from "effect/cli/Completions"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

type Command = Completions.CommandDescriptor
type Flag = Command["flags"][number]

// What these take is the path of a file, which a shell completes best.
const files = new Set(["config", "pidfile", "stdout", "stderr"])

const withFiles = (command: Command): Command => ({
  ...command,
  flags: command.flags.map((flag) =>
    files.has(flag.name) ? { ...flag, type: { _tag: "Path", pathType: "file" } } : flag
  ),
  subcommands: command.subcommands.map(withFiles)
})

const spellings = ({ aliases, name }: Flag): ReadonlyArray<string> =>
  [name, ...aliases].map((name) => name.length === 1 ? `-${name}` : `--${name}`)

// To fish any word without a dash is a command, and `blackgate -c FILE ` had one already.
const inFish = (script: string, { flags, name }: Command): string => {
  const valued = flags.filter(({ type }) => type._tag !== "Boolean").flatMap(spellings).join(" ")
  const condition = `__${name}_needs_command`
  return `function ${condition}
    set -l words (commandline -poc)
    set -e words[1]
    set -l value 0
    for word in $words
        if test $value = 1
            set value 0
        else if contains -- $word ${valued}
            set value 1
        else if not string match -q -- '-*' $word
            return 1
        end
    end
end

${script.replaceAll("__fish_use_subcommand", condition)}`
}

// To zsh `--config=FILE` is another flag, unless it is told.
const inZsh = (script: string): string => script.replaceAll(/('\([^']*\)--[a-z-]+)(\[(?:[^\]']|'\\'')*\]:)/g, "$1=$2")

const scriptOf = (shell: Completions.Shell, command: Command): string => {
  const script = Completions.generate(command.name, shell, command)
  return shell === "fish" ? inFish(script, command) : shell === "zsh" ? inZsh(script) : script
}

/** Effect's `--completions`, which knows files, and flags before the command. */
export const completions = GlobalFlag.Action({
  flag: GlobalFlag.Completions.flag,
  run: (shell, { command }) =>
    Option.isNone(shell)
      ? Effect.void
      : Console.log(scriptOf(shell.value, withFiles(Completions.fromCommand(command))))
})
