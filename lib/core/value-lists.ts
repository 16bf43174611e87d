/** Adds a value to those of a name. Any name will do: there are headers and fields `__proto__` and `constructor` too. */
export function addValue(lists: Record<string, string[]>, name: string, value: string): void {
  const given = Object.hasOwn(lists, name) ? lists[name] : undefined
  if (given) given.push(value)
  else if (name !== '__proto__') lists[name] = [value]
  else Object.defineProperty(lists, name, { value: [value], configurable: true, enumerable: true, writable: true })
}
