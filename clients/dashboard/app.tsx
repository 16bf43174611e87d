import { Desk } from './desk.tsx'
import { Login } from './login.tsx'
import { sessionState, startSession } from './session.ts'

export function App() {
  const state = sessionState.value
  switch (state.kind) {
    case 'starting':
      return <main class="notice" aria-busy="true" />
    case 'unreachable':
      return (
        <main class="notice">
          <h1>Countersign is not answering</h1>
          <p role="alert">{state.failure}</p>
          <button type="button" onClick={() => void startSession()}>
            Try again
          </button>
        </main>
      )
    case 'signedOut':
      return <Login failure={state.failure} standing={state.standing} />
    case 'signedIn':
      return <Desk key={state.session.id} session={state.session} />
  }
}
