import type { Request } from "@blackgate/http/Transport"
import * as Transport from "@blackgate/http/Transport"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Readable } from "node:stream"
import type { Client } from "./Client.ts"
import { goOn } from "./Downstream.ts"
import { RequestBody } from "./RequestBody.ts"

/** What a request carries, as Node can send it; `null` for nothing. */
export const bodyOf = (request: Request, client: Client["request"]): Readable | Uint8Array | null => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return null
    case "Incoming":
      return client === undefined
        ? NodeStream.toReadableNever(Transport.incoming(request))
        : new RequestBody(client, body.limit, () => goOn(request))
    case "Uint8Array":
      return body.body
    case "Stream":
      return NodeStream.toReadableNever(body.stream)
    case "FormData":
      return Readable.fromWeb(new Response(body.formData).body as Parameters<typeof Readable.fromWeb>[0])
    case "Raw":
      return body.body as Readable | Uint8Array
  }
}
