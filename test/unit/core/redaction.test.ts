import { describe, expect, it } from 'vitest'
import { previewOf, redactText } from '../../../lib/core/preview.ts'
import { isSecretName } from '../../../lib/core/secret-name.ts'

const shown = (value: Parameters<typeof previewOf>[0]): unknown => JSON.parse(previewOf(value).preview)

describe('names', () => {
  it.each([
    'authorization',
    'Authorization',
    'Proxy-Authorization',
    'cookie',
    'Set-Cookie',
    'x-api-key',
    'X-API-KEY',
    'apikey',
    'apiKey',
    'api_key',
    'API Key',
    'token',
    'accessToken',
    'refresh_token',
    'id-token',
    'TOKENS',
    'authtoken',
    'secret',
    'client_secret',
    'clientSecret',
    'AWS_SECRET_ACCESS_KEY',
    'password',
    'Password',
    'newPassword',
    'passwd',
    'PWD',
    'db_pwd',
    'passphrase',
    'private_key',
    'privateKey',
    'credentials',
    'awsCredential',
    'accessKeyId',
    'session_id',
    'sessionId',
    'PHPSESSID',
    'sid',
    'connect.sid',
    'DB_PASS',
    'auth',
    'jwt',
    'otp',
    'mnemonic',
    'ｐａｓｓｗｏｒｄ',
    'X-Amz-Security-Token',
    'signature',
    'webhook.secret',
    'user[password]',
    'max_tokens_secret',
  ])('%s is secret', (name) => {
    expect(isSecretName(name)).toBe(true)
  })

  it.each([
    'max_tokens',
    'maxTokens',
    'token_count',
    'tokenCount',
    'tokenizer',
    'tokenizer_name',
    'total_tokens',
    'prompt_tokens',
    'completionTokens',
    'max_output_tokens',
    'tokens_used',
    'tokenLimit',
    'token_type',
    'amount',
    'author',
    'authored_by',
    'key',
    'keyboard',
    'monkey',
    'compass',
    'bypass',
    'passenger',
    'session',
    'inside',
    'design',
    'signal',
    'note',
    'description',
    'path',
    'command',
    '',
    '密码的',
  ])('%s is harmless', (name) => {
    expect(isSecretName(name)).toBe(false)
  })
})

describe('shapes', () => {
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U'
  const pem = '-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\nx+y/z==\n-----END RSA PRIVATE KEY-----'
  it.each([
    ['AWS id', 'AKIAIOSFODNN7EXAMPLE'],
    ['AWS session id', 'ASIAIOSFODNN7EXAMPLE'],
    ['GitHub', `ghp_${'a1B2'.repeat(9)}`],
    ['GitHub server', `ghs_${'a1B2'.repeat(9)}`],
    ['GitHub fine-grained', `github_pat_${'a1_B2'.repeat(9)}`],
    ['GitLab', 'glpat-abcdefghij1234567890'],
    ['Slack', 'xoxb-123456789012-abcdefGHIJ'],
    ['Stripe', 'sk_live_4eC39HqLyjWDarjtT1zdp7dc'],
    ['Stripe restricted', 'rk_live_4eC39HqLyjWDarjtT1zdp7dc'],
    ['Stripe test', 'sk_test_4eC39HqLyjWDarjtT1zdp7dc'],
    ['OpenAI', 'sk-proj-abcdefghij1234567890ABCDEFGHIJ'],
    ['Anthropic', 'sk-ant-api03-abcdefghij1234567890-ABC'],
    ['Google', `AIza${'SyA-1_b'.repeat(5)}`],
    ['agent key', `csk_${'a1-B2_'.repeat(7)}`],
    ['approver token', `cst_${'a1-B2_'.repeat(7)}`],
    ['JWT', jwt],
  ])('%s', (_, secret) => {
    expect(redactText(secret)).toBe('[redacted]')
    expect(redactText(`see "${secret}", then go on`)).toBe('see "[redacted]", then go on')
    expect(shown({ list: ['x', { note: `a ${secret} b` }], [secret]: 1 })).toEqual({
      list: ['x', { note: 'a [redacted] b' }],
      '[redacted]': 1,
    })
  })

  it('private keys, also those that are cut', () => {
    expect(redactText(`see ${pem} and go on`)).toBe('see [redacted] and go on')
    expect(redactText(`see ${pem.slice(0, 60)}`)).toBe('see [redacted]')
    expect(redactText(JSON.stringify({ note: pem }))).toBe('{"note":"[redacted]"}')
  })

  it('AWS secret keys stand beside their ids', () => {
    const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
    expect(redactText(`AKIAIOSFODNN7EXAMPLE ${secret}`)).toBe('[redacted] [redacted]')
    expect(redactText(`commit ${'a'.repeat(40)}`)).toBe(`commit ${'a'.repeat(40)}`)
  })

  it.each([
    'task-force-one-two-three-four-five',
    'a disk-like sketch',
    'basic information about bearer bonds',
    'http://localhost:8080/x',
    'https://example.com/a@b:c',
    '12:30 on 2026-01-01T00:00:00Z',
    '{"amount":5000,"note":"keep  my   spaces"}',
    'docker run -u 1000:1000 x',
    'rm -rf / && echo done',
    'SELECT * FROM users WHERE id = 5',
    'arn:aws:s3:::bucket/key',
  ])('%s stays as it is', (text) => {
    expect(redactText(text)).toBe(text)
  })
})

describe('announced values', () => {
  it.each([
    ['Authorization: Bearer abc.def', 'Authorization: [redacted]'],
    ['Host: x\r\nAuthorization: Custom a b c\r\nAccept: y', 'Host: x\r\nAuthorization: [redacted]\nAccept: y'],
    ['> Cookie: a=b; c=d', '> Cookie: [redacted]'],
    ['Set-Cookie: sid=abc; HttpOnly; Path=/', 'Set-Cookie: [redacted]'],
    ['curl -H "Authorization: Bearer zz" https://x/y?a=1', 'curl -H "Authorization: [redacted]" https://x/y?a=1'],
    ["curl -H 'X-Api-Key: zz' -d @f", "curl -H 'X-Api-Key: [redacted]' -d @f"],
    ["curl -H 'Cookie: a=b; c=d' x", "curl -H 'Cookie: [redacted]' x"],
    ['curl -u bob:hunter2 https://x', 'curl -u [redacted] https://x'],
    ['cmd --password=hunter2 --x', 'cmd --password=[redacted] --x'],
    ['cmd --password hunter2 --x', 'cmd --password [redacted] --x'],
    ["cmd --token 'hun ter2' --x", 'cmd --token [redacted] --x'],
    ['sshpass -p hunter2 ssh x', 'sshpass -p [redacted] ssh x'],
    ['PASSWORD=hunter2 cmd', 'PASSWORD=[redacted] cmd'],
    ['export API_KEY="hun ter2"; ls', 'export API_KEY="[redacted]"; ls'],
    ['https://user:hunter2@host/path', 'https://[redacted]@host/path'],
    ['postgres://u:p@ss@db:5432/x', 'postgres://[redacted]@db:5432/x'],
    ['https://x/y?token=abc&amount=5&sig=def', 'https://x/y?token=[redacted]&amount=5&sig=[redacted]'],
    ['https://x/?key=abc', 'https://x/?key=[redacted]'],
    ['https://x/?pass%77ord=abc&y=1', 'https://x/?pass%77ord=[redacted]&y=1'],
    ['grant_type=password&password=b%20c&x=1', 'grant_type=password&password=[redacted]&x=1'],
    ['see {"password":"hunter2","a":1}', 'see {"password":"[redacted]","a":1}'],
    ['see {\\"password\\":\\"hun\\\\\\"ter2\\",\\"a\\":1}', 'see {\\"password\\":\\"[redacted]\\",\\"a\\":1}'],
    ['see {"\\u0070assword": "hunter2"}', 'see {"\\u0070assword": "[redacted]"}'],
    ['see {"credentials":{"user":"u","pw":"hunter2"},"a":1', 'see {"credentials":[redacted],"a":1'],
    ['see {"pin": 1, "otp": 123456, "a": 2}', 'see {"pin": [redacted], "otp": [redacted], "a": 2}'],
    ["{'password': 'hunter2', 'x': 1}", "{'password': '[redacted]', 'x': 1}"],
    ["['secret' => 'hunter2', 'x' => 1]", "['secret' => '[redacted]', 'x' => 1]"],
    ['db:\n  password: correct horse\n  host: x', 'db:\n  password: [redacted]\n  host: x'],
    ['password: |\n  one\n  two\nnext: 1', 'password: [redacted]\nnext: 1'],
    ['the api key: abc, and', 'the api key: [redacted] and'],
    ['<password>hunter2</password><a>b</a>', '<password>[redacted]</password><a>b</a>'],
    ['Basic dXNlcjpwYXNz', 'Basic [redacted]'],
    ['redirect=https%3A%2F%2Fx%3Ftoken%3Dabc', 'redirect=https%3A%2F%2Fx%3Ftoken%3D[redacted]'],
    ['password = "never closed', 'password = "[redacted]'],
  ])('%j', (text, masked) => {
    expect(redactText(text).replaceAll('\r', '')).toBe(masked.replaceAll('\r', ''))
    expect(redactText(redactText(text))).toBe(redactText(text))
  })

  it.each([
    'token: ; rm -rf /',
    'password: x ; rm -rf /',
    'echo PASSWORD=x; rm -rf /',
    'PASSWORD=x&rm -rf /',
    'PASSWORD=x|rm -rf /',
    'cmd --token && rm -rf /',
    'x token: y && rm -rf /',
    `echo 'password="'; rm -rf /; echo '"'`,
    `echo '{"password":"' && rm -rf / && echo '"}'`,
    `echo '"token":{'; rm -rf /; echo '}'`,
    `echo '<token>'; rm -rf /; echo '</token>'`,
    `curl --token '"'; rm -rf /; echo '"'`,
    'PASSWORD=$(rm -rf /)',
    'PASSWORD="x$(rm -rf /)"',
    'TOKEN=`rm -rf /`',
    `echo '-----BEGIN PRIVATE KEY-----'; rm -rf /`,
    'echo -----BEGIN PRIVATE KEY----- && rm -rf /',
    'curl -H "Authorization: x" https://y; rm -rf /',
    'a://b:c;rm -rf /@d',
  ])('no name hides the command behind it: %s', (text) => {
    expect(redactText(text)).toContain('rm -rf /')
  })
})

describe('structures', () => {
  it('masks what is under a secret name, whatever it is', () => {
    expect(
      shown({
        password: 'x',
        token: 12345,
        credentials: { user: 'u', list: [1] },
        secret: null,
        auth: false,
        amount: 5,
      }),
    ).toEqual({
      password: '[redacted]',
      token: '[redacted]',
      credentials: '[redacted]',
      secret: null,
      auth: false,
      amount: 5,
    })
  })

  it('understands names that stand beside their values', () => {
    expect(
      shown({
        headers: [
          ['Authorization', 'abc'],
          ['Accept', 'x'],
        ],
        raw: ['Cookie', 'a=b', 'Host', 'x'],
        argv: ['curl', '-u', 'bob:hunter2', '--token', 'abc', '--verbose', 'x'],
        env: [
          { name: 'DB_PASSWORD', value: 'hunter2' },
          { name: 'HOST', value: 'x' },
        ],
      }),
    ).toEqual({
      headers: [
        ['Authorization', '[redacted]'],
        ['Accept', 'x'],
      ],
      raw: ['Cookie', '[redacted]', 'Host', 'x'],
      argv: ['curl', '-u', '[redacted]', '--token', '[redacted]', '--verbose', 'x'],
      env: [
        { name: 'DB_PASSWORD', value: '[redacted]' },
        { name: 'HOST', value: 'x' },
      ],
    })
  })

  it('looks into JSON inside strings, several levels deep', () => {
    let inner = JSON.stringify({ password: 'hunter2', amount: 5 })
    for (let level = 0; level < 8; level++) {
      const preview = previewOf({ body: inner }).preview
      expect(preview).not.toContain('hunter2')
      expect(preview).toContain('amount')
      inner = JSON.stringify({ body: inner })
    }
  })

  it('shows JSON in a string that two readers could read in two ways as it is', () => {
    const text = '{"cmd":"rm -rf /","cmd":"ls","password":"hunter2"}'
    expect(redactText(text)).toBe('{"cmd":"rm -rf /","cmd":"ls","password":"[redacted]"}')
  })

  it('keeps two keys apart that look the same once masked', () => {
    expect(shown({ AKIAIOSFODNN7EXAMPLE: 1, AKIAIOSFODNN7EXAMPLF: 2 })).toEqual({
      '[redacted]': 1,
      '[redacted] (2)': 2,
    })
  })
})

it('makes text that can be hashed of any text', () => {
  expect(redactText('a\ud800b')).toBe('a\ufffdb')
})
