import { effect } from '@preact/signals'
import { render } from 'preact'
import { App } from './app.tsx'
import { waiting } from './approvals.ts'
import { startClock } from './clock.ts'
import { startSession } from './session.ts'

const root = document.getElementById('app')
if (root === null) throw new Error('The page has no #app element.')

effect(() => {
  document.title = waiting.value === 0 ? 'Countersign' : `(${waiting.value}) Countersign`
})
// A login link opened in the tab that already shows the page changes only the hash.
addEventListener('hashchange', () => void startSession())
startClock()
void startSession()
render(<App />, root)
