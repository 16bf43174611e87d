import { describe, expect, test } from 'vitest'
import { readUpstreams } from '../../../../lib/runtime/config/upstreams.ts'

const problemsOf = (settings: Parameters<typeof readUpstreams>[0]): string[] => {
  const problems: string[] = []
  readUpstreams(settings, problems)
  return problems
}

describe('upstreams of the configuration', () => {
  test('have a base, headers in lower case, and times', () => {
    const problems: string[] = []
    const [upstream] = readUpstreams(
      { a: { url: 'https://API.example.com:8443/v1/', headers: { Authorization: 'Bearer x' }, idleTimeout: '1h' } },
      problems,
    )
    expect(problems).toEqual([])
    expect(upstream).toMatchObject({
      name: 'a',
      base: { scheme: 'https', host: 'api.example.com', port: 8443, path: '/v1', query: null },
      headers: ['authorization', 'Bearer x'],
      replaces: new Set(['authorization']),
      connectTimeoutMs: 10_000,
      answerTimeoutMs: 300_000,
      idleTimeoutMs: 3_600_000,
    })
  })

  test.each([
    ['ftp://x/', 'scheme'],
    ['not a url', 'URL'],
    ['https://u:sekret@x/', 'user name'],
    ['https://x/?sekret=1', 'query'],
    ['https://x/#sekret', 'fragment'],
    ['https://x/a%2f..%2fb', 'dot segments'],
  ])('%s is refused', (url, why) => {
    const problems = problemsOf({ a: { url } })
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^upstreams\\.a\\.url .*${why}`))])
    expect(problems.join()).not.toContain('sekret')
  })

  test.each([
    [{ 'bad name': 'x' }, 'names of headers'],
    [{ Host: 'x' }, 'Host'],
    [{ 'Transfer-Encoding': 'x' }, 'Transfer-Encoding'],
    [{ 'countersign-key': 'x' }, 'countersign-key'],
    [{ a: '1', A: '2' }, 'twice'],
    [{ a: 'sekret\r\nx: y' }, 'character'],
  ] as Record<string, string>[][])('headers %o are refused', (headers, why) => {
    const problems = problemsOf({ a: { url: 'https://x', headers: headers as unknown as Record<string, string> } })
    expect(problems).toEqual([expect.stringContaining(String(why))])
    expect(problems.join()).not.toContain('sekret')
  })

  test('a time of nothing is refused, and all that is wrong is told at once', () => {
    expect(
      problemsOf({ a: { url: 'x', connectTimeout: '0s' }, b: { url: 'https://y', answerTimeout: '0m' } }),
    ).toHaveLength(3)
  })
})
