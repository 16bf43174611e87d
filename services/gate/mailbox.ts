/** What comes in while somebody waits, in order; nothing that came before the wait is lost. */
export class Mailbox<T> {
  readonly #letters: T[] = []
  #take: ((letter: T) => void) | undefined

  put(letter: T): void {
    const take = this.#take
    this.#take = undefined
    if (take) take(letter)
    else this.#letters.push(letter)
  }

  next(): Promise<T> {
    const letter = this.#letters.shift()
    if (letter !== undefined) return Promise.resolve(letter)
    return new Promise((resolve) => {
      this.#take = resolve
    })
  }
}
