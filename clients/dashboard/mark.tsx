const MARK = new URL('./mark.svg', import.meta.url).href

/** The product's sign: a signature over a line. */
export function Mark() {
  return <img class="mark" src={MARK} alt="" width="28" height="28" />
}
