// Each with the whole of what is said about it.
export const wrong: ReadonlyArray<readonly [name: string, text: string, message: string]> = [
  [
    "no YAML",
    "proxies: [\n",
    `blackgate.yml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]
  |
2 | 
  | ^

1 error in blackgate.yml`
  ],
  [
    "two keys of one name",
    "port: 1\nport: 2\n",
    `blackgate.yml:2:1: port: it is there already, in line 1
  |
2 | port: 2
  | ^^^^

1 error in blackgate.yml`
  ],
  [
    "a tab that indents",
    "log:\n\tlevel: info\n",
    `blackgate.yml:2:1: Tabs are not allowed as indentation
  |
2 | 	level: info
  | ^

1 error in blackgate.yml`
  ],
  [
    "a list in place of a mapping",
    "- port: 1\n",
    `blackgate.yml:1:1: expected a mapping, found a list
  |
1 | - port: 1
  | ^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "nothing",
    "# nothing\n",
    `blackgate.yml: expected a mapping with proxies or routes, found nothing

1 error in blackgate.yml`
  ],
  [
    "a misspelt key",
    "prot: 9654\n",
    `blackgate.yml:1:1: prot: expected one of port, sentry, proxies, listen, groups, upstreams, routes, limits, drain, forwarded, admin, log, telemetry, found "prot" (did you mean port?)
  |
1 | prot: 9654
  | ^^^^

1 error in blackgate.yml`
  ],
  [
    "a key in camelCase",
    "groups:\n  api:\n    pool: { maxConcurrent: 3 }\n",
    `blackgate.yml:3:13: groups.api.pool.maxConcurrent: expected one of max_concurrent, max_queued, queue_timeout, found "maxConcurrent" (did you mean max_concurrent?)
  |
3 |     pool: { maxConcurrent: 3 }
  |             ^^^^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "what is required is missing",
    "proxies:\n  - upstream_url: http://a\n",
    `blackgate.yml:2:5: proxies[0].name: it is missing: expected a name, without spaces around it
  |
2 |   - upstream_url: http://a
  |     ^

1 error in blackgate.yml`
  ],
  [
    "a port that is none",
    "port: 70000\n",
    `blackgate.yml:1:7: port: expected a whole number from 0 to 65535, found 70000
  |
1 | port: 70000
  |       ^^^^^

1 error in blackgate.yml`
  ],
  [
    "a port in quotes",
    "port: \"80\"\n",
    `blackgate.yml:1:7: port: expected a whole number from 0 to 65535, found "80"
  |
1 | port: "80"
  |       ^^^^

1 error in blackgate.yml`
  ],
  [
    "a duration without a unit",
    "routes:\n  - upstream: http://a\n    timeout: 5\n",
    `blackgate.yml:3:14: routes[0].timeout: expected a duration with its unit, longer than zero and of 24d at most, such as 500ms, 5s, 1m or "5 seconds", found 5
  |
3 |     timeout: 5
  |              ^

1 error in blackgate.yml`
  ],
  [
    "a duration that no timer holds",
    "limits: { keep_alive: 25d }\n",
    `blackgate.yml:1:23: limits.keep_alive: expected a duration with its unit, longer than zero and of 24d at most, such as 500ms, 5s, 1m or "5 seconds", found "25d"
  |
1 | limits: { keep_alive: 25d }
  |                       ^^^

1 error in blackgate.yml`
  ],
  [
    "a URL that is none",
    "proxies:\n  - name: a\n    upstream_url: intra.service.com\n",
    `blackgate.yml:3:19: proxies[0].upstream_url: expected an http or https URL, without a user, a query or a fragment, found "intra.service.com"
  |
3 |     upstream_url: intra.service.com
  |                   ^^^^^^^^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a URL with a password",
    "upstreams:\n  a:\n    url: http://me:hunter2@a\n",
    `blackgate.yml:3:10: upstreams.a.url: expected an http or https URL, without a user, a query or a fragment, found "http://**********@a"
  |
3 |     url: http://**********@a
  |          ^^^^^^^^^^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a group that is not there",
    "groups:\n  users: { pool: { max_concurrent: 1 } }\nroutes:\n  - upstream: http://a\n    group: user\n",
    `blackgate.yml:5:12: routes[0].group: expected one of groups: users, found "user" (did you mean users?)
  |
5 |     group: user
  |            ^^^^

1 error in blackgate.yml`
  ],
  [
    "an upstream that is not there",
    "routes:\n  - upstream: users\n",
    `blackgate.yml:2:15: routes[0].upstream: there are no upstreams, found "users"
  |
2 |   - upstream: users
  |               ^^^^^

1 error in blackgate.yml`
  ],
  [
    "a regular expression that is none",
    "proxies:\n  - name: a\n    upstream_url: http://a\n    request_path_regex: /a/(b\n",
    `blackgate.yml:4:25: proxies[0].request_path_regex: missing closing ): \`/a/(b\`
  |
4 |     request_path_regex: /a/(b
  |                         ^^^^^

1 error in blackgate.yml`
  ],
  [
    "a regular expression that looks ahead",
    "proxies:\n  - name: a\n    upstream_url: http://a\n    request_path_regex: /(?!b)c\n",
    `blackgate.yml:4:26: proxies[0].request_path_regex: look-around can't be done in linear time
  |
4 |     request_path_regex: /(?!b)c
  |                          ^^^

1 error in blackgate.yml`
  ],
  [
    "a group of a substitution that is not there",
    "proxies:\n  - name: a\n    upstream_url: http://a\n    request_path_regex: /(a)\n    request_path_sub: /\\2\n",
    `blackgate.yml:5:24: proxies[0].request_path_sub: there is no group 2: the expression has 1
  |
5 |     request_path_sub: /\\2
  |                        ^^

1 error in blackgate.yml`
  ],
  [
    "an environment variable that is not set",
    "port: ${NO_PORT}\n",
    `blackgate.yml:1:7: port: the environment variable NO_PORT is not set, and there is no default: \${NO_PORT:-default}
  |
1 | port: \${NO_PORT}
  |       ^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a substitution that is no number",
    "port: ${WORD}\n",
    `blackgate.yml:1:7: port: expected a whole number from 0 to 65535, found what \${WORD} stands for
  |
1 | port: \${WORD}
  |       ^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a secret of the wrong type",
    "sentry:\n  dsn: 12345\n",
    `blackgate.yml:2:8: sentry.dsn: expected text, found something else, which is not shown
  |
2 |   dsn: *****
  |        ^^^^^

1 error in blackgate.yml`
  ],
  [
    "a file that is not there",
    "listen:\n  tls:\n    certificates:\n      - { cert: no.pem, key: no.key }\n",
    `blackgate.yml:4:17: listen.tls.certificates[0].cert: no.pem can't be read: ENOENT: no such file or directory
  |
4 |       - { cert: no.pem, key: no.key }
  |                 ^^^^^^

blackgate.yml:4:30: listen.tls.certificates[0].key: no.key can't be read: ENOENT: no such file or directory
  |
4 |       - { cert: no.pem, key: no.key }
  |                              ^^^^^^

2 errors in blackgate.yml`
  ],
  [
    "options that contradict each other",
    "groups:\n  api:\n    pool: { max_concurrent: 1 }\n    circuit: { slow_call_rate: 0.5 }\n",
    `blackgate.yml:4:5: groups.api.circuit.slower_than: expected, because of slow_call_rate: from when on is a call slow?
  |
4 |     circuit: { slow_call_rate: 0.5 }
  |     ^

1 error in blackgate.yml`
  ],
  [
    "neither an upstream nor a redirect",
    "routes:\n  - match: { path: /a }\n",
    `blackgate.yml:2:5: routes[0]: expected an upstream or a redirect, found neither
  |
2 |   - match: { path: /a }
  |     ^^^^^^^^^^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a redirect with a timeout",
    "routes:\n  - redirect: { path: /a }\n    timeout: 1s\n",
    `blackgate.yml:3:14: routes[0].timeout: a route with a redirect forwards nothing
  |
3 |     timeout: 1s
  |              ^^

1 error in blackgate.yml`
  ],
  [
    "a prefix for an exact path",
    "routes:\n  - match: { path: { exact: /a } }\n    upstream: http://a\n    rewrite: { prefix: / }\n",
    `blackgate.yml:4:24: routes[0].rewrite.prefix: expected a route that matches a prefix of the path
  |
4 |     rewrite: { prefix: / }
  |                        ^

1 error in blackgate.yml`
  ],
  [
    "one address twice",
    "listen:\n  - port: 1\n  - port: 1\n",
    `blackgate.yml:3:11: listen[1].port: expected an address of its own: listen[0] listens on port 1, too
  |
3 |   - port: 1
  |           ^

1 error in blackgate.yml`
  ],
  [
    "port beside listen",
    "port: 1\nlisten: { port: 2 }\n",
    `blackgate.yml:1:7: port: port is what listen is in short: expected one of them, found both
  |
1 | port: 1
  |       ^

1 error in blackgate.yml`
  ],
  [
    "an alias without an anchor",
    "groups:\n  a: *b\n",
    `blackgate.yml:2:6: groups.a: there is no anchor &b
  |
2 |   a: *b
  |      ^^

1 error in blackgate.yml`
  ],
  [
    "a shape that is none of those there are",
    "routes:\n  - upstream: http://a\n    match: { path: { glob: / } }\n",
    `blackgate.yml:3:20: routes[0].match.path: expected a path such as /api, { exact: … }, { prefix: … } or { regex: … }, found a mapping of glob
  |
3 |     match: { path: { glob: / } }
  |                    ^^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a header to be edited that is not for editing",
    "routes:\n  - upstream: http://a\n    request_headers: { set: { Content-Length: \"1\" } }\n",
    `blackgate.yml:3:47: routes[0].request_headers.set.Content-Length: Content-Length is not a header to be edited
  |
3 |     request_headers: { set: { Content-Length: "1" } }
  |                                               ^^^

1 error in blackgate.yml`
  ],
  [
    "a header with a line break",
    "routes:\n  - upstream: http://a\n    request_headers: { set: { a: \"b\\nc: d\" } }\n",
    `blackgate.yml:3:34: routes[0].request_headers.set.a: expected text that a header can hold, on one line, found "b\\nc: d"
  |
3 |     request_headers: { set: { a: "b\\nc: d" } }
  |                                  ^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a network with host bits",
    "forwarded: { trust: [10.0.0.1/8] }\n",
    `blackgate.yml:1:22: forwarded.trust[0]: expected a network such as 10.0.0.0/8, without host bits, an address, or "unix:", found "10.0.0.1/8"
  |
1 | forwarded: { trust: [10.0.0.1/8] }
  |                      ^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "operators that anybody can be",
    "admin: { host: 0.0.0.0 }\n",
    `blackgate.yml:1:16: admin.host: expected a token for an address that others can reach: admin.token
  |
1 | admin: { host: 0.0.0.0 }
  |                ^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "no attempt at all",
    "routes:\n  - upstream: http://a\n    retries: { attempts: 0 }\n",
    `blackgate.yml:3:26: routes[0].retries.attempts: expected a whole number of at least 1, found 0
  |
3 |     retries: { attempts: 0 }
  |                          ^

1 error in blackgate.yml`
  ],
  [
    "a retry as a program spells it",
    "routes:\n  - upstream: http://a\n    retries: { times: 2 }\n",
    `blackgate.yml:3:16: routes[0].retries.times: expected one of attempts, backoff, failures, statuses, max_retry_after, wait_for, methods, attempt_timeout, found "times"
  |
3 |     retries: { times: 2 }
  |                ^^^^^

1 error in blackgate.yml`
  ],
  [
    "a status that is none",
    "routes:\n  - upstream: http://a\n    retries: { statuses: 5xx }\n",
    `blackgate.yml:3:26: routes[0].retries.statuses: expected true, false or a list of statuses from 200 to 599, found "5xx"
  |
3 |     retries: { statuses: 5xx }
  |                          ^^^

1 error in blackgate.yml`
  ],
  [
    "a status that is not final",
    "routes:\n  - upstream: http://a\n    retries: { statuses: [103] }\n",
    `blackgate.yml:3:27: routes[0].retries.statuses[0]: expected a whole number from 200 to 599, found 103
  |
3 |     retries: { statuses: [103] }
  |                           ^^^

1 error in blackgate.yml`
  ],
  [
    "a delay without a unit",
    "routes:\n  - upstream: http://a\n    retries: { backoff: { base: 100 } }\n",
    `blackgate.yml:3:33: routes[0].retries.backoff.base: expected a duration with its unit, longer than zero and of 24d at most, such as 500ms, 5s, 1m or "5 seconds", found 100
  |
3 |     retries: { backoff: { base: 100 } }
  |                                 ^^^

1 error in blackgate.yml`
  ],
  [
    "a redirect with retries",
    "routes:\n  - redirect: { path: /a }\n    retries: {}\n",
    `blackgate.yml:3:14: routes[0].retries: a route with a redirect forwards nothing
  |
3 |     retries: {}
  |              ^^

1 error in blackgate.yml`
  ],
  [
    "a budget of less than nothing",
    "groups:\n  a: { pool: { max_concurrent: 1 }, retry_budget: { ratio: -1 } }\n",
    `blackgate.yml:2:60: groups.a.retry_budget.ratio: expected a number of at least 0, found -1
  |
2 |   a: { pool: { max_concurrent: 1 }, retry_budget: { ratio: -1 } }
  |                                                            ^^

1 error in blackgate.yml`
  ],
  [
    "a key of a rate limit that nobody has",
    "groups:\n  a: { pool: { max_concurrent: 1 }, rate_limit: { limit: 1, window: 1s, key: tenant } }\n",
    `blackgate.yml:2:78: groups.a.rate_limit.key: expected client_address or { header: … }, found "tenant"
  |
2 |   a: { pool: { max_concurrent: 1 }, rate_limit: { limit: 1, window: 1s, key: tenant } }
  |                                                                              ^^^^^^

1 error in blackgate.yml`
  ],
  [
    "a second document",
    "port: 0\nroutes: []\n---\nport: 1\n",
    `blackgate.yml:3:1: expected one document, found another one: nothing may stand behind ---
  |
3 | ---
  | ^^^

1 error in blackgate.yml`
  ],
  [
    "a list that has to have something",
    "listen: { port: 1, tls: { certificates: [] } }\n",
    `blackgate.yml:1:41: listen.tls.certificates: expected a list that is not empty, found an empty list
  |
1 | listen: { port: 1, tls: { certificates: [] } }
  |                                         ^^

1 error in blackgate.yml`
  ],
  [
    "an address in place of a URL",
    "routes:\n  - upstream: localhost:8080\n",
    `blackgate.yml:2:15: routes[0].upstream: there are no upstreams, found "localhost:8080" (did you mean http://localhost:8080?)
  |
2 |   - upstream: localhost:8080
  |               ^^^^^^^^^^^^^^

1 error in blackgate.yml`
  ],
  [
    "letters that are wide, and some that have no width",
    "routes:\n  - { name: 가e\u0301, timeout: 5, upstream: http://a }\n",
    `blackgate.yml:2:27: routes[0].timeout: expected a duration with its unit, longer than zero and of 24d at most, such as 500ms, 5s, 1m or "5 seconds", found 5
  |
2 |   - { name: 가e\u0301, timeout: 5, upstream: http://a }
  |                           ^

1 error in blackgate.yml`
  ],
  [
    "many things at once",
    "prot: 1\nlog: { level: loud }\nproxies:\n  - nam: a\n    upstream_url: 3\n",
    `blackgate.yml:1:1: prot: expected one of port, sentry, proxies, listen, groups, upstreams, routes, limits, drain, forwarded, admin, log, telemetry, found "prot" (did you mean port?)
  |
1 | prot: 1
  | ^^^^

blackgate.yml:2:15: log.level: expected debug, info, warning, error or none, found "loud"
  |
2 | log: { level: loud }
  |               ^^^^

blackgate.yml:4:5: proxies[0].nam: expected one of name, upstream_url, request_path_regex, request_path_sub, connect_timeout_seconds, request_timeout_seconds, found "nam" (did you mean name?)
  |
4 |   - nam: a
  |     ^^^

blackgate.yml:5:19: proxies[0].upstream_url: expected an http or https URL, without a user, a query or a fragment, found 3
  |
5 |     upstream_url: 3
  |                   ^

4 errors in blackgate.yml`
  ]
]
