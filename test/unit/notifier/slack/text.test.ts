import { expect, it } from 'vitest'
import { dateToken, inert } from '../../../../services/notifier/slack/text.ts'

it.each([
  ['<!channel> & <@U1>', 100, '&lt;!channel&gt; &amp; &lt;@U1&gt;'],
  ['a\u202eb\u200b\ud800', 100, 'a\\u{202e}b\\u{200b}\\u{d800}'],
  ['abcdef', 6, 'abcdef'],
  ['abcdefg', 6, 'abcde…'],
  ['a&&&', 6, 'a…'],
  ['😀😀😀', 6, '😀😀😀'],
  ['😀😀😀😀', 6, '😀😀…'],
  ['', 6, ''],
])('%j in %i characters is %j', (text, limit, shown) => {
  expect(inert(text, limit)).toBe(shown)
})

it('an instant is told in words where Slack cannot show it', () => {
  expect(dateToken('2026-01-01T00:05:09.500Z')).toBe(
    '<!date^1767225909^{date_short_pretty} {time}|2026-01-01 00:05 UTC>',
  )
})
