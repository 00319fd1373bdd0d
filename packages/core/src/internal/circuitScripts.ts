/**
 * What Redis does about a circuit: one hash each, on Redis' own clock.
 *
 * The hash holds `state`, `generation` (a number that no other generation of the key ever had: outcomes of an older one change
 * nothing), and `forced` while an operator holds it. While it is closed: `streak`, and the window, under the `kind` of window that it
 * is; while it is open: `openUntil`; while it is half-open: `proven`, and the `probes` under way with the time each began. A circuit
 * that was never heard of has no hash. Beside them two sorted sets per group say which circuits there are: `closed` ones by their
 * last outcome, `others` by when they expire. Those two, and the number of keys that is kept, are for the tag `{group}` of one slot.
 */
import type * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import type { Outcome, Settings, State } from "../CircuitStore.ts"

/** A circuit as the scripts know it: its keys, its names and its policy, all of them data. */
export interface Address {
  /** What the names of the group's keys begin with. */
  readonly base: string
  /** What follows for this circuit. */
  readonly member: string
  /** What the circuit is called where it is shown. */
  readonly circuit: string
  readonly policy: Policy
}

export type Policy = ReadonlyArray<string>

// Far beyond any duration that makes sense, and still exact in the arithmetic of a script.
const longest = 2 ** 50
const millis = (n: number): string => String(Math.min(Math.ceil(n), longest))
const reason = (n: number): string => n === Infinity ? "0" : String(n)

export const policyOf = (channel: string, group: string, idle: number, settings: Settings): Policy => {
  const { window } = settings
  return [
    channel,
    group,
    millis(settings.openFor),
    String(settings.probes),
    millis(settings.probeLease),
    millis(idle),
    String(settings.maxKeys),
    reason(settings.consecutive),
    reason(settings.failureRate),
    reason(settings.slowCallRate),
    "calls" in window ? "calls" : "millis",
    "calls" in window ? String(window.calls) : millis(window.millis),
    String(settings.minimumCalls)
  ]
}

// Nearly always it is closed, and there is nothing more to it.
const fast = `
local op = ARGV[16]
if op == "admit" then
  local known = redis.call("HMGET", KEYS[1], "state", "generation")
  if not known[1] then return { "closed", "0" } end
  if known[1] == "closed" then return { "closed", known[2] } end
end
`

const prelude = `
local key, closed, others = KEYS[1], KEYS[2], KEYS[3]
local member, circuit, channel, group = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local openFor, probesWanted, probeLease = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local idle, maxKeys = tonumber(ARGV[8]), tonumber(ARGV[9])
local slowCallRate = tonumber(ARGV[12])

local time = redis.call("TIME")
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local function int(n) return string.format("%.0f", n) end

local fields = redis.call("HMGET", key, "state", "generation", "forced", "openUntil", "proven", "probes",
  "touched", "streak", "kind", "window", "failures", "slow")
local existed = fields[1] ~= false
local state, generation, forced = fields[1] or "closed", fields[2] or "0", fields[3] == "1"

local proven, probes = tonumber(fields[5]) or 0, {}
for token, since in string.gmatch(fields[6] or "", "([^=;]+)=(%d+);") do
  probes[#probes + 1] = { token = token, since = tonumber(since) }
end
local function written()
  local all = {}
  for i, probe in ipairs(probes) do all[i] = probe.token .. "=" .. int(probe.since) .. ";" end
  return table.concat(all)
end

-- How long calls are still turned away, if nothing is heard before. The clock may have been set back: nothing waits longer than
-- it would have then.
local function retryAfter()
  if state == "closed" then return 0 end
  if state == "open" then
    return forced and openFor or math.max(0, math.min((tonumber(fields[4]) or 0) - now, openFor))
  end
  if #probes + proven < probesWanted or #probes == 0 then return 0 end
  return math.max(0, math.min(probes[1].since + probeLease - now, probeLease, openFor))
end

-- A new key may be one too many: the closed one that was not heard of for longest goes first, then one that is not closed.
local function bound()
  redis.call("ZREMRANGEBYSCORE", closed, "-inf", int(now - idle))
  redis.call("ZREMRANGEBYSCORE", others, "-inf", int(now))
  local surplus = redis.call("ZCARD", closed) + redis.call("ZCARD", others) - maxKeys
  for _, index in ipairs({ closed, others }) do
    if surplus <= 0 then return end
    for _, other in ipairs(redis.call("ZRANGE", index, 0, math.min(surplus, 100))) do
      if surplus > 0 and other ~= member then
        redis.call("DEL", string.sub(key, 1, #key - #member) .. other)
        redis.call("ZREM", index, other)
        surplus = surplus - 1
      end
    end
  end
end

-- A hash that was seen to within the last second, or the last hundredth of its time, need not be so again.
local touch = math.abs(now - (tonumber(fields[7]) or 0)) > math.min(1000, idle / 100)

local function keep(moved)
  if forced then
    redis.call("PERSIST", key)
    redis.call("ZADD", others, "+inf", member)
  elseif state == "closed" then
    if not (moved or touch) then return end
    redis.call("PEXPIRE", key, int(idle))
    redis.call("ZADD", closed, int(now), member)
    redis.call("PEXPIRE", closed, int(idle))
  else
    local left = idle + (state == "open" and openFor or probeLease)
    redis.call("PEXPIRE", key, int(left))
    redis.call("ZADD", others, int(now + left), member)
  end
  if moved then
    redis.call("ZREM", (forced or state ~= "closed") and closed or others, member)
    local last = redis.call("ZREVRANGE", others, 0, 0, "WITHSCORES")[2]
    if last == "inf" then redis.call("PERSIST", others)
    elseif last then redis.call("PEXPIREAT", others, int(tonumber(last))) end
  end
  if not existed then bound() end
end

-- Answers the transition, if it is one.
local function become(to, byOperator)
  local from = state
  state = to
  generation = int(math.max(tonumber(generation) + 1, micros))
  proven, probes = 0, {}
  redis.call("DEL", key)
  redis.call("HSET", key, "state", to, "generation", generation)
  if forced then redis.call("HSET", key, "forced", "1") end
  if to == "open" then redis.call("HSET", key, "openUntil", int(now + openFor)) end
  keep(true)
  if from == to then return false end
  redis.call("PUBLISH", channel, cjson.encode({
    group = group, circuit = circuit, from = from, to = to, forced = byOperator
  }))
  return { from, to }
end
`

const admitting = `
if state == "open" then
  local wait = retryAfter()
  if wait > 0 then
    if not forced and tonumber(fields[4]) > now + wait then redis.call("HSET", key, "openUntil", int(now + wait)) end
    return { "open", wait }
  end
end
local moved = state == "open" and become("half-open", false)
if #probes + proven >= probesWanted then
  -- A probe that was let in long ago, or begins in a time to come, may never be heard of.
  while #probes > 0 and (now - probes[1].since >= probeLease or probes[1].since > now) do table.remove(probes, 1) end
  if #probes + proven >= probesWanted then return { "half-open", retryAfter() } end
end
local token = generation .. ":" .. redis.call("HINCRBY", key, "admitted", 1)
probes[#probes + 1] = { token = token, since = now }
redis.call("HSET", key, "probes", written())
keep(false)
return { "probe", token, moved and 1 or 0 }
`

const settling = `
local consecutive, failureRate = tonumber(ARGV[10]), tonumber(ARGV[11])
local kind, size, minimumCalls = ARGV[13], tonumber(ARGV[14]), tonumber(ARGV[15])
local ticket, isProbe, outcome, slow = ARGV[17], ARGV[18] == "1", ARGV[19], ARGV[20] == "1"
local failed = outcome == "failure"

if isProbe then
  local place
  for i, probe in ipairs(probes) do if probe.token == ticket then place = i end end
  if state ~= "half-open" or not place then return false end
  table.remove(probes, place)
  if outcome ~= "ignored" then
    if failed or (slow and slowCallRate > 0) then return become("open", false) end
    proven = proven + 1
    if proven >= probesWanted then return become("closed", false) end
  end
  redis.call("HSET", key, "probes", written(), "proven", proven)
  keep(false)
  return false
end

if forced or state ~= "closed" or generation ~= ticket or outcome == "ignored" then return false end
local rates = failureRate > 0 or slowCallRate > 0
-- Of a circuit that was never heard of a success says nothing new.
if not existed and not failed and not rates then return false end

local streak = failed and (tonumber(fields[8]) or 0) + 1 or 0
if consecutive > 0 and streak >= consecutive then return become("open", false) end

local changes = { "streak", streak }
if not existed then changes = { "streak", streak, "state", state, "generation", generation } end
if touch then
  changes[#changes + 1] = "touched"
  changes[#changes + 1] = int(now)
end
if rates then
  local window, calls, failures, slowOnes = "", 0, 0, 0
  local same = kind .. ":" .. int(size)
  if fields[9] == same then window = fields[10] end
  if kind == "calls" then
    -- A digit for each call: 1 if it failed, and 2 more if it was slow.
    if window ~= "" then failures, slowOnes = tonumber(fields[11]), tonumber(fields[12]) end
    window = window .. ((failed and 1 or 0) + (slow and 2 or 0))
    if #window > size then
      local oldest = tonumber(string.sub(window, 1, 1))
      failures = failures - oldest % 2
      slowOnes = slowOnes - math.floor(oldest / 2)
      window = string.sub(window, 2)
    end
    calls = #window
    if failed then failures = failures + 1 end
    if slow then slowOnes = slowOnes + 1 end
  else
    -- Ten slices. Those that are over, or to come because the clock was set back, are forgotten.
    local slice, kept = math.floor(now / (size / 10)), {}
    calls, failures, slowOnes = 1, failed and 1 or 0, slow and 1 or 0
    local mine = { calls, failures, slowOnes }
    for piece, at, c, f, s in string.gmatch(window, "((%d+)=(%d+),(%d+),(%d+);)") do
      local age = slice - tonumber(at)
      if age >= 0 and age < 10 then
        calls, failures, slowOnes = calls + c, failures + f, slowOnes + s
        if age > 0 then kept[#kept + 1] = piece else mine = { mine[1] + c, mine[2] + f, mine[3] + s } end
      end
    end
    kept[#kept + 1] = int(slice) .. "=" .. table.concat(mine, ",") .. ";"
    window = table.concat(kept)
  end
  if calls >= minimumCalls and (
    (failureRate > 0 and failures / calls >= failureRate) or (slowCallRate > 0 and slowOnes / calls >= slowCallRate)
  ) then return become("open", false) end
  for _, change in ipairs({ "kind", same, "window", window, "failures", failures, "slow", slowOnes }) do
    changes[#changes + 1] = change
  end
end
redis.call("HSET", key, unpack(changes))
keep(false)
return false
`

const forcing = `
local to = ARGV[17]
if to == "auto" and not existed then return false end
forced = to ~= "auto"
return become(to == "open" and "open" or "closed", true)
`

// One script for all of it: whoever was let in knows that Redis knows it, so that no outcome is held up, and overtaken, by its loading.
const script = Redis.script(
  ({ base, circuit, member, policy }: Address, op: string, ...rest: ReadonlyArray<string>) => [
    base + member,
    `${base}closed`,
    `${base}others`,
    member,
    circuit,
    ...policy,
    op,
    ...rest
  ],
  {
    numberOfKeys: 3,
    lua: `${fast}${prelude}
if op == "admit" then ${admitting} end
if op == "settle" then ${settling} end
if op == "force" then ${forcing} end
return { state, forced and 1 or 0, retryAfter() }
`
  }
).withReturnType<unknown>()

type Asking<A> = Effect.Effect<A, Redis.RedisError>

export type Admitted =
  | readonly ["closed", generation: string]
  | readonly ["probe", token: string, moved: number]
  | readonly ["open" | "half-open", retryAfter: number]

/** The transition that was made, if one was. */
export type Moved = readonly [from: State, to: State] | null

/** What the script answers is what it was asked for. */
export class CircuitScript {
  private readonly run: (address: Address, op: string, ...rest: ReadonlyArray<string>) => Asking<unknown>
  private readonly list: (base: string, most: number) => Asking<ReadonlyArray<string>>

  constructor(redis: Redis.Redis["Service"]) {
    this.run = redis.eval(script)
    this.list = redis.eval(listed)
  }

  admit(address: Address): Asking<Admitted> {
    return this.run(address, "admit") as Asking<Admitted>
  }

  settle(address: Address, ticket: string, isProbe: boolean, outcome: Outcome, slow: boolean): Asking<Moved> {
    return this.run(address, "settle", ticket, isProbe ? "1" : "0", outcome, slow ? "1" : "0") as Asking<Moved>
  }

  force(address: Address, to: "open" | "closed" | "auto"): Asking<Moved> {
    return this.run(address, "force", to) as Asking<Moved>
  }

  standing(address: Address): Asking<readonly [state: State, forced: number, retryAfter: number]> {
    return this.run(address, "standing") as Asking<readonly [state: State, forced: number, retryAfter: number]>
  }

  /** The members of circuits that are not closed, or held: as many as may be listed. */
  open(base: string, most: number): Asking<ReadonlyArray<string>> {
    return this.list(base, most)
  }
}

const listed = Redis.script((base: string, most: number) => [`${base}others`, most], {
  numberOfKeys: 1,
  lua: `
local time = redis.call("TIME")
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%.0f", time[1] * 1000 - 1))
return redis.call("ZRANGE", KEYS[1], 0, ARGV[1] - 1)
`
}).withReturnType<ReadonlyArray<string>>()
