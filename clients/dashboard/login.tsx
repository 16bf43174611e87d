import { useState } from 'preact/hooks'
import { Mark } from './mark.tsx'
import { enter, signIn } from './session.ts'
import { Untrusted } from './text.tsx'
import type { Session } from './wire.ts'

export function Login({ failure, standing }: { failure: string | undefined; standing: Session | undefined }) {
  const [token, setToken] = useState('')
  const [busy, setBusy] = useState(false)
  const [refusal, setRefusal] = useState<string>()

  async function submit(event: Event) {
    event.preventDefault()
    if (busy || token.trim() === '') return
    setBusy(true)
    setRefusal(undefined)
    const reason = await signIn(token.trim())
    setBusy(false)
    setRefusal(reason)
  }

  const alert = refusal ?? failure
  return (
    <main class="login">
      <form class="panel" onSubmit={submit}>
        <h1>
          <Mark /> Countersign
        </h1>
        <p>
          Open the login link that the server printed when it started. It works once. Or paste an approver&rsquo;s
          token.
        </p>
        {alert !== undefined && (
          <p class="alert" role="alert">
            {alert}
          </p>
        )}
        {standing !== undefined && (
          <button type="button" onClick={() => enter(standing)}>
            Go on as <Untrusted text={standing.name} />
          </button>
        )}
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          value={token}
          placeholder="cst_…"
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={busy || token.trim() === ''}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <p class="note">
          A new token: <code>countersign keys create --role approver --name you</code>
        </p>
      </form>
    </main>
  )
}
