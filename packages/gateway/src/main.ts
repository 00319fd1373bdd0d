#!/usr/bin/env node
/**
 * The entry point of the `blackgate` program: it provides what Node has to the command line and runs it, nothing else.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Cli from "./Cli.ts"

Cli.run.pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
