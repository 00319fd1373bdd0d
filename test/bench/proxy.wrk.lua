-- What wrk is told by `proxy.load.ts`, through the environment, and how it answers: one line of JSON.
local paths = {}

function init()
  wrk.method = os.getenv("BENCH_METHOD") or "GET"
  local bytes = tonumber(os.getenv("BENCH_BODY") or "0")
  if bytes > 0 then wrk.body = string.rep("x", bytes) end
  local routes = tonumber(os.getenv("BENCH_ROUTES") or "0")
  if routes > 0 then
    for i = 0, routes - 1 do paths[i] = wrk.format("GET", string.format("/r%05d/users/1", i)) end
    local next = 0
    request = function()
      next = (next + 7919) % routes
      return paths[next]
    end
  else
    local only = wrk.format(nil, os.getenv("BENCH_PATH"))
    request = function() return only end
  end
end

function done(summary, latency)
  io.write(string.format(
    '\n{"requests":%d,"bytes":%.0f,"seconds":%f,"refused":%d,"errors":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
