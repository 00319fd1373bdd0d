import { assert, describe, it } from "@effect/vitest"
import * as Exposition from "./Exposition.ts"

const histogram = (lines: string) => `# TYPE h histogram\n${lines}`

const right: ReadonlyArray<readonly [what: string, text: string]> = [
  ["nothing", ""],
  [
    "the example of the documentation",
    `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
# TYPE msdos_file_access_time_seconds gauge
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9

# TYPE something_weird gauge
something_weird{problem="division by zero"} +Inf -3982045

# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="1"} 133988
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} NaN
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
`
  ],
  [
    "labels that end with a comma, and values of all kinds",
    `# HELP a \\\\ and \\n
# TYPE a gauge
a { b = "1" , c="}," , } -.5
a{b="2"} NaN
a{b="☃\t"} -Inf
a{} 1e-9\t1
`
  ]
]

const wrong: ReadonlyArray<readonly [what: string, text: string, problem: string]> = [
  ["a last line without an end", "# TYPE a gauge\na 1", "2: the last line has no end"],
  ["a line that ends as on Windows", "# TYPE a gauge\na 1\r\n", "2: 1\r is no value"],
  ["what is no text", "# TYPE a gauge\na{b=\"\ud800\"} 1\n", "1: it is no UTF-8"],
  ["a name that begins with a digit", "1a 1\n", "1: 1a is no name of a metric"],
  ["a name with a dot", "# TYPE a.b gauge\n", "1: a.b is no name of a metric"],
  ["no TYPE", "a 1\n", "1: a has no TYPE before it"],
  ["a TYPE that comes after", "a 1\n# TYPE a gauge\n", "2: TYPE of a comes after its samples"],
  ["two of TYPE", "# TYPE a gauge\n# TYPE a gauge\na 1\n", "2: TYPE of a is there twice"],
  ["two of HELP", "# HELP a b\n# HELP a b\n# TYPE a gauge\na 1\n", "2: HELP of a is there twice"],
  ["a TYPE that is none", "# TYPE a number\na 1\n", "1: number is no type"],
  ["a HELP with an escape that is none", "# HELP a \\t\n# TYPE a gauge\na 1\n", "1: HELP of a has what is no escape"],
  ["a family without samples", "# TYPE a gauge\n", "1: a has no samples"],
  ["a family in two places", "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\na{c=\"d\"} 1\n", "5: a is not in one place"],
  [
    "a series twice",
    "# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 2\n",
    "3: a is there twice with the same labels"
  ],
  ["a label twice", "# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n", "2: the label b is there twice"],
  ["a label with a name that is none", "# TYPE a gauge\na{b-c=\"1\"} 1\n", "2: b-c is no name of a label"],
  [
    "a label with Prometheus's own name",
    "# TYPE a gauge\na{__b=\"1\"} 1\n",
    "2: __b is the name of a label that is Prometheus's own"
  ],
  ["an escape that is none", "# TYPE a gauge\na{b=\"\\t\"} 1\n", "2: \\t is no escape"],
  ["a quote that is not escaped", "# TYPE a gauge\na{b=\"c\"d\"} 1\n", "2: a label ends with d\"} 1"],
  ["a label without quotes", "# TYPE a gauge\na{b=1} 1\n", "2: no label can be read at b=1} 1"],
  ["a brace that is not closed", "# TYPE a gauge\na{b=\"1\", 1\n", "2: no label can be read at 1"],
  ["no value", "# TYPE a gauge\na\n", "2:  is no value"],
  ["a value that is none", "# TYPE a gauge\na 0x1\n", "2: 0x1 is no value"],
  ["Infinity in the words of JavaScript", "# TYPE a gauge\na Infinity\n", "2: Infinity is no value"],
  ["a timestamp that is none", "# TYPE a gauge\na 1 1.5\n", "2: 1.5 is no timestamp"],
  ["more than a timestamp", "# TYPE a gauge\na 1 1 1\n", "2:  is no value"],
  ["a counter that does not say so", "# TYPE a counter\na 1\n", "2: the counter a does not end in _total"],
  ["a counter below zero", "# TYPE a_total counter\na_total -1\n", "2: the counter a_total is -1"],
  ["a counter of NaN", "# TYPE a_total counter\na_total NaN\n", "2: the counter a_total is NaN"],
  ["a histogram without +Inf", histogram("h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n"), "2: h has no bucket +Inf"],
  [
    "a histogram whose +Inf is not its count",
    histogram("h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n"),
    "2: the bucket +Inf of h is not its _count"
  ],
  [
    "a histogram that is not cumulative",
    histogram("h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n"),
    "3: h does not add up"
  ],
  [
    "a histogram out of order",
    histogram("h_bucket{le=\"10\"} 1\nh_bucket{le=\"9\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"),
    "3: the bounds of h do not ascend"
  ],
  ["a histogram without a sum", histogram("h_bucket{le=\"+Inf\"} 1\nh_count 1\n"), "2: h has no _sum"],
  [
    "a histogram of which one series has no count",
    histogram("h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nh_bucket{a=\"b\",le=\"+Inf\"} 1\nh_sum{a=\"b\"} 1\n"),
    "5: h has no _count"
  ],
  [
    "a bucket without a bound",
    histogram("h_bucket 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"),
    "2: a bucket of h has no bound"
  ],
  [
    "a histogram's own name",
    histogram("h 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"),
    "2: h is no name of a histogram's sample"
  ],
  ["a summary without a quantile", "# TYPE s summary\ns 1\ns_sum 1\ns_count 1\n", "2: a sample of s has no quantile"],
  ["a summary without a count", "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\n", "2: s has no _count"]
]

describe("Exposition", () => {
  for (const [what, text] of right) {
    it(`has nothing against ${what}`, () => assert.deepStrictEqual(Exposition.read(text).problems, []))
  }

  for (const [what, text, problem] of wrong) {
    it(`finds ${what}`, () => assert.include(Exposition.read(text).problems, problem))
  }

  it("says what a series is, its labels as they are", () => {
    const { value } = Exposition.read("# TYPE a gauge\na{b=\"\\\\n\\n\\\"\",c=\"\"} 1\n")
    assert.strictEqual(value("a", { c: "", b: "\\n\n\"" }), 1)
    assert.isUndefined(value("a"))
  })
})
