import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { hookCommand, isPortable } from '../../../clients/cli/hook/command-text.ts'
import { isOurs, withHooks } from '../../../clients/cli/hook/settings.ts'

const installed = { self: ['/usr/bin/node', '/opt/countersign/main.js'] }

describe('the command of a settings file', () => {
  it('names this installation by its path, each word quoted where a shell would read more', () => {
    expect(hookCommand('user', { url: 'http://127.0.0.1:4100' }, installed)).toBe(
      '/usr/bin/node /opt/countersign/main.js hook claude-code --url http://127.0.0.1:4100',
    )
    const odd = { self: ["/home/o'brien/my node", '--import', 'file:///x y', '/a/$HOME/`id`.js'] }
    expect(hookCommand('project', { data: '/d;e' }, odd)).toBe(
      `'/home/o'\\''brien/my node' --import 'file:///x y' '/a/$HOME/\`id\`.js' hook claude-code --data '/d;e'`,
    )
  })

  it('names a package of the project, and what lies in it, from the project', () => {
    const own = { self: ['/usr/bin/node', join(process.cwd(), 'node_modules', '.bin', 'countersign')] }
    const data = join(process.cwd(), 'the data')
    const command = hookCommand('project', { data }, own)
    expect(command).toBe(
      `node "$CLAUDE_PROJECT_DIR"/node_modules/.bin/countersign hook claude-code --data "$CLAUDE_PROJECT_DIR"/'the data'`,
    )
    expect(isPortable(command)).toBe(true)
    expect(hookCommand('user', { data }, own)).not.toContain('CLAUDE_PROJECT_DIR')
    expect(isPortable(hookCommand('project', {}, installed))).toBe(false)
  })
})

describe('hooks of a settings file', () => {
  const ours = { type: 'command', command: 'countersign hook claude-code --url http://x' }
  const other = { type: 'command', command: 'lint' }

  it('replaces ours wherever they stand, and keeps the others, also an empty group', () => {
    const before = {
      hooks: { PreToolUse: [{ matcher: 'Bash', hooks: [ours, other] }, { hooks: [ours] }, { hooks: [] }] },
    }
    const { PreToolUse } = withHooks(before, 'new hook claude-code').hooks
    expect(PreToolUse).toEqual([
      { matcher: 'Bash', hooks: [other] },
      { hooks: [] },
      { matcher: '*', hooks: [expect.objectContaining({ command: 'new hook claude-code' })] },
    ])
  })

  it('knows ours by the words of the command', () => {
    expect([ours, other, {}, { command: 'x hook claude-codex' }].map(isOurs)).toEqual([true, false, false, false])
  })
})
