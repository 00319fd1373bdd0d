import * as Grpc from "@grpc/grpc-js"
import * as ProtoLoader from "@grpc/proto-loader"
import { Effect } from "effect"

export interface Message {
  readonly text?: string
  readonly payload?: Uint8Array
  readonly count?: number
}

type Handlers = {
  readonly Unary: Grpc.handleUnaryCall<Message, Message>
  readonly Down: Grpc.handleServerStreamingCall<Message, Message>
  readonly Up: Grpc.handleClientStreamingCall<Message, Message>
  readonly Both: Grpc.handleBidiStreamingCall<Message, Message>
}

type Callback = (error: Grpc.ServiceError | null, value?: Message) => void

export interface Client extends Grpc.Client {
  Unary(message: Message, metadata: Grpc.Metadata, options: Grpc.CallOptions, callback: Callback): Grpc.ClientUnaryCall
  Down(message: Message, metadata?: Grpc.Metadata): Grpc.ClientReadableStream<Message>
  Up(callback: Callback): Grpc.ClientWritableStream<Message>
  Both(metadata?: Grpc.Metadata): Grpc.ClientDuplexStream<Message, Message>
}

const loaded = Grpc.loadPackageDefinition(
  ProtoLoader.loadSync(`${import.meta.dirname}/echo.proto`, { keepCase: true })
)
const { Echo } = loaded["test"] as unknown as {
  readonly Echo:
    & (new(address: string, credentials: Grpc.ChannelCredentials, options?: Grpc.ClientOptions) => Client)
    & {
      readonly service: Grpc.ServiceDefinition<Record<keyof Handlers, Grpc.UntypedHandleCall>>
    }
}

/** A server of `@grpc/grpc-js`, and the port it listens on. It is killed with the scope. */
export const server = (
  handlers: Partial<Handlers>,
  credentials = Grpc.ServerCredentials.createInsecure(),
  options: Grpc.ServerOptions = {}
) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Grpc.Server; readonly port: number }>((resume) => {
      const server = new Grpc.Server(options)
      server.addService(Echo.service, handlers as Record<keyof Handlers, Grpc.UntypedHandleCall>)
      server.bindAsync("localhost:0", credentials, (error, port) =>
        resume(error === null ? Effect.succeed({ server, port }) : Effect.die(error)))
    }),
    ({ server }) =>
      Effect.sync(() =>
        server.forceShutdown()
      )
  )

/** A client of `@grpc/grpc-js`. It is closed with the scope. */
export const client = (port: number, options: Grpc.ClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new Echo(`127.0.0.1:${port}`, Grpc.credentials.createInsecure(), options)),
    (client) => Effect.sync(() => client.close())
  )

/** The answer to a unary call, or what is wrong, with metadata and trailers. */
export const unary = (
  client: Client,
  message: Message,
  options: Grpc.CallOptions = {},
  metadata = new Grpc.Metadata()
) =>
  Effect.callback<{
    readonly value: Message | undefined
    readonly error: Grpc.ServiceError | null
    readonly metadata: Grpc.Metadata | undefined
    readonly status: Grpc.StatusObject
  }>((resume) => {
    let received: Grpc.Metadata | undefined
    let answer: { readonly error: Grpc.ServiceError | null; readonly value: Message | undefined } | undefined
    let status: Grpc.StatusObject | undefined
    const done = () => {
      if (answer !== undefined && status !== undefined) {
        resume(Effect.succeed({ ...answer, metadata: received, status }))
      }
    }
    const call = client.Unary(message, metadata, options, (error, value) => {
      answer = { error, value }
      done()
    })
    call.on("metadata", (metadata) => received = metadata)
    call.on("status", (is) => {
      status = is
      done()
    })
    return Effect.sync(() => call.cancel())
  })
