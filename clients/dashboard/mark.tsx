/** The product's sign: a signature over a line. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect class="mark-paper" x="2" y="2" width="28" height="28" rx="8" />
      <path
        class="mark-ink"
        d="M7.5 18.5c2.2-6.4 4.3-9.6 5.9-9.1 2.4.8-2.700 9.300-.6 9.800 1.800.4 2.800-4.200 4.400-3.900 1.300.2.2 3.400 1.700 3.500 1.500.1 2.100-2.800 3.400-2.700.9.1.9 1.600 2.200 1.500"
      />
      <path class="mark-line" d="M7.500 23.500h17" />
    </svg>
  )
}
