const done = Promise.resolve()

/** A microtask. `queueMicrotask` makes an `AsyncResource` for each. What is called must not throw. */
export const soon = (callback: () => void): void => void done.then(callback)
