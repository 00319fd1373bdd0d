import { SharedLimits } from "@blackgate/core"
import { afterAll, describe, it } from "vitest"
import { handed, Member, Region, SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import { type Served, SharedPermits } from "../../packages/core/src/internal/SharedPermits.ts"
import { SharedRegion } from "../../packages/core/src/internal/SharedRegion.ts"

// Members of one thread, in turn: before each step on a word another member may go ahead, with whole operations or with their first steps,
// until it is that one's turn to be overtaken. Or it may die there. What is drawn comes from a seed, so that what fails fails again.

const real = Object.fromEntries(Object.getOwnPropertyNames(Atomics).map((name) => [name, Reflect.get(Atomics, name)]))

/** The run that is on. */
let run: Run | undefined

for (const name of ["load", "store", "add", "sub", "and", "or", "exchange", "compareExchange"]) {
  Reflect.set(Atomics, name, (words: Int32Array, index: number, ...args: Array<number>) => {
    run?.before()
    return real[name](words, index, ...args)
  })
}
Reflect.set(Atomics, "notify", (_: Int32Array, index: number) => {
  run?.notify(index)
  return 0
})
Reflect.set(Atomics, "waitAsync", (words: Int32Array, index: number, seen: number) => {
  if (real["load"](words, index) !== seen) return { async: false, value: "not-equal" }
  // oxlint-disable-next-line unicorn/no-thenable -- a promise would be heard a turn later
  return { async: true, value: { then: (ring: () => void) => run!.listen(index, ring) } }
})
afterAll(() => {
  for (const [name, value] of Object.entries(real)) Reflect.set(Atomics, name, value)
})

/** Where the memory has the lock of its directory: while one is buried no other is, since nobody of this thread could wait for the lock. */
const directory = 4

interface Bell {
  readonly index: number
  readonly thread: Thread
  readonly ring: () => void
}

class Death extends Error {}

class Thread implements Served {
  readonly run: Run
  readonly member: number
  readonly permits: SharedPermits
  maxConcurrent: number
  queued = 0
  active = 0
  busy = false
  dead = false
  closed = false
  constructor(run: Run, member: number) {
    this.run = run
    this.member = member
    this.maxConcurrent = run.limit
    const at = run.memory.join("api", member, run.limit)!
    this.permits = new SharedPermits(new SharedRegion(run.memory, at, member), () => {})
    this.permits.add(this)
  }

  get wants() {
    return this.queued > 0 && this.active < this.maxConcurrent
  }
  get idle() {
    return this.active === 0 && this.queued === 0
  }
  leaveShared() {
    this.closed = true
  }
  serveLine() {
    while (this.wants && this.permits.take()) {
      this.queued--
      this.begin()
    }
  }

  arrive() {
    const isNext = this.queued === 0 && this.active < this.maxConcurrent
    if (isNext && (this.permits.take() || this.permits.takeOrWait())) this.begin()
    else this.queued++
  }
  end() {
    this.active--
    this.permits.give()
  }
  quit() {
    this.queued--
    this.permits.left()
  }
  /** Every member is told, one after the other. */
  resize(limit: number) {
    this.maxConcurrent = limit
    this.permits.resize(limit)
  }
  private begin() {
    this.active++
    this.run.began()
  }
}

class Run {
  readonly memory: SharedMemory
  readonly buffer: SharedArrayBuffer
  readonly threads: Array<Thread> = []
  readonly at: number
  limit: number
  /** The most that may run: the limit, or those who ran when it was lowered. */
  ceiling: number
  private seed: number
  private readonly deaths: boolean
  private readonly resizes: boolean
  private readonly stack: Array<Thread> = []
  private bells: Array<Bell> = []
  private rung: Array<Bell> = []
  private on = false

  constructor(seed: number, members: number, limit: number, deaths: boolean) {
    this.seed = seed
    this.limit = this.ceiling = limit
    this.deaths = deaths
    this.resizes = seed % 2 === 1 // being told serves a line that should have been served before
    this.buffer = SharedLimits.make({ members: members + 1, maxGroups: 1, maxKeys: 1 })
    this.memory = SharedMemory.of(this.buffer)!
    this.at = this.memory.region(0)
    for (let i = 0; i < members; i++) this.threads.push(new Thread(this, i))
  }

  // Mulberry32.
  draw(n: number): number {
    this.seed = (this.seed + 0x6d2b79f5) | 0
    let t = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }

  word(word: number) {
    return real["load"](this.memory.words, this.at + word) as number
  }
  of(member: number, word: number) {
    return real["load"](this.memory.words, this.memory.of(this.at, member) + word) as number
  }
  get active() {
    return this.threads.reduce((sum, { active }) => sum + active, 0)
  }

  began() {
    if (this.active > this.ceiling) throw new Error(`${this.active} run, of ${this.ceiling}`)
  }

  go(steps: number) {
    this.on = true
    for (let i = 0; i < steps; i++) this.step()
    this.on = false
    for (const thread of this.threads) if (thread.dead) this.revive(thread.member)
    for (const thread of this.threads) if (this.resizes) thread.resize(this.limit)
    // What was hard to see as they died.
    SharedRegion.bury(this.memory, this.threads.length)
    this.settle()
    this.check()
  }

  /** Everybody ends, and closes. */
  finish() {
    for (let i = 0; this.threads.some(({ idle }) => !idle); i++) {
      if (i > 10_000) throw new Error("somebody waits for ever")
      for (const thread of this.threads) if (thread.active > 0) thread.end()
      this.settle()
      this.check()
    }
    for (const thread of this.threads) if (!thread.closed) thread.permits.close(thread)
    this.settle()
    if (this.word(Region.total) !== 0) throw new Error(`${this.word(Region.total)} are held in the end`)
    for (const { closed, member } of this.threads) {
      if (!closed || this.of(member, Member.seat) !== 0) throw new Error(`${member} has not left`)
    }
  }

  /** All bells ring. */
  private settle() {
    for (let bell = this.rung.shift(); bell !== undefined; bell = this.rung.shift()) {
      if (!bell.thread.dead) bell.ring()
    }
  }

  private check() {
    const live = this.threads.filter(({ dead }) => !dead)
    const facts = {
      total: this.word(Region.total),
      held: live.map(({ member }) => this.of(member, Member.held)),
      granted: live.map(({ member }) => this.of(member, Member.seat) & handed),
      active: live.map(({ active }) => active),
      queued: live.map(({ queued }) => queued),
      limit: this.limit
    }
    const same = facts.total === this.active
      && facts.held.every((held, i) => held === facts.active[i])
      && facts.granted.every((granted) => granted === 0)
    if (!same) throw new Error(`counts differ: ${JSON.stringify(facts)}`)
    if (facts.total < this.limit && live.some(({ wants }) => wants)) {
      throw new Error(`a permit is free, and somebody waits: ${JSON.stringify(facts)}`)
    }
  }

  private step() {
    const { stack } = this
    const free = this.threads.filter((thread) => !stack.includes(thread))
    const dead = free.find((thread) => thread.dead)
    if (dead !== undefined && this.memory.words[directory] === 0 && this.draw(4) === 0) return this.revive(dead.member)
    if (this.draw(3) === 0) {
      // One that is in the middle of something hears of its bell when it is done.
      const bell = this.rung.findIndex(({ thread }) => !thread.dead && free.includes(thread))
      if (bell !== -1) {
        const [{ ring, thread }] = this.rung.splice(bell, 1) as [Bell]
        return this.act(thread, ring)
      }
    }
    const thread = free[this.draw(free.length)]
    if (thread === undefined || thread.dead || thread.closed) return
    this.act(thread, () => {
      const what = this.draw(10)
      if (what < 4) thread.arrive()
      else if (what < 8) return thread.active > 0 ? thread.end() : thread.arrive()
      else if (what < 9) return thread.queued > 0 ? thread.quit() : thread.arrive()
      else if (thread.maxConcurrent !== this.limit) thread.resize(this.limit)
      else this.resize(thread)
    })
  }

  private resize(thread: Thread) {
    if (!this.resizes) return
    this.limit = 1 + this.draw(3)
    this.ceiling = Math.max(this.ceiling, this.limit)
    thread.resize(this.limit)
  }

  private act(thread: Thread, what: () => void) {
    this.stack.push(thread)
    try {
      what()
    } catch (error) {
      if (!(error instanceof Death)) throw error
      thread.dead = true
      thread.active = thread.queued = 0
    } finally {
      this.stack.pop()
    }
  }

  private revive(member: number) {
    this.stack.push(this.threads[member]!)
    SharedRegion.bury(this.memory, member)
    this.threads[member] = new Thread(this, member)
    this.stack.pop()
  }

  before() {
    const current = this.stack.at(-1)
    if (!this.on || current === undefined) return
    if (this.deaths && !current.dead && this.draw(100) === 0) throw new Death()
    if (this.draw(3) > 0) return
    for (let i = this.draw(4); i > 0; i--) this.step()
  }

  listen(index: number, ring: () => void) {
    const thread = this.threads.find(({ member }) => this.memory.of(this.at, member) + Member.bell === index)!
    this.bells.push({ index, thread, ring })
  }

  notify(index: number) {
    this.rung.push(...this.bells.filter((bell) => bell.index === index && !bell.thread.dead))
    this.bells = this.bells.filter((bell) => bell.index !== index)
  }
}

const runs = (
  count: number,
  options: { readonly members: number; readonly limit: number; readonly deaths: boolean }
) => {
  const { deaths, limit, members } = options
  for (let seed = 0; seed < count; seed++) {
    run = undefined
    run = new Run(seed, members, limit, deaths)
    try {
      run.go(1 + (seed % 60))
      run.finish()
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
    } finally {
      run = undefined
    }
  }
}

describe("whoever goes ahead between any two steps of another", { concurrent: false }, () => {
  for (const members of [2, 3]) {
    for (const limit of [1, 2]) {
      it(`${members} members, ${limit} at once: never more, none lost, and nobody waits while one is free`, () => {
        runs(3000, { members, limit, deaths: false })
      })
      it(`${members} members, ${limit} at once: the same when they die and are replaced`, () => {
        runs(3000, { members, limit, deaths: true })
      })
    }
  }
})
