import type { Path } from "./ConfigText.ts"
import { isSecretAt, isSecretlyWritten } from "./show.ts"

/** A config without its secrets: what stands under the name of one, and what came from a file. */
export const redacted = (
  value: unknown,
  written: (path: Path) => string | undefined,
  path: Path = []
): unknown => {
  if (Array.isArray(value)) return value.map((each, i) => redacted(each, written, [...path, i]))
  if (value instanceof Object) {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, redacted(each, written, [...path, key])])
    )
  }
  return isSecretAt(path) || path.join(".").startsWith("telemetry.otlp.headers.") ||
      isSecretlyWritten(written(path))
    ? "<redacted>"
    : value
}
