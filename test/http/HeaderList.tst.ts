import { HeaderList } from "@blackgate/http"
import { expect, it } from "tstyche"

declare const list: HeaderList.HeaderList

it("functions take the list first, or last", () => {
  expect(HeaderList.get(list, "a")).type.toBe<string | undefined>()
  expect(HeaderList.get("a")(list)).type.toBe<string | undefined>()
  expect(HeaderList.getAll("a")(list)).type.toBe<ReadonlyArray<string>>()
  expect(HeaderList.set("a", "b")(list)).type.toBe<HeaderList.HeaderList>()
  expect(HeaderList.append(list, "a", "b")).type.toBe<HeaderList.HeaderList>()
  expect(HeaderList.remove("a")(list)).type.toBe<HeaderList.HeaderList>()
})

it("a field has a name and a value", () => {
  expect(HeaderList.make).type.toBeCallableWith(["a", "1"], ["a", "2"])
  expect(HeaderList.make).type.not.toBeCallableWith(["a"])
  expect(HeaderList.make).type.not.toBeCallableWith(["a", 1])
})
