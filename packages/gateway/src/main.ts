#!/usr/bin/env node
/**
 * The entry point of the `blackgate` program: it provides what Node has to the command line and runs it, nothing else.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Cli from "./Cli.ts"

Cli.run.pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    // A gateway that was told to stop, and has drained, has done what it should.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) && process.exitCode === 0
        ? onExit(0)
        : Runtime.defaultTeardown(exit, onExit)
  })
)
