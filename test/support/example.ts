import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Runs an example as a reader would, the Node ones with the built package; killed with the test. */
export function runExample(command: string, file: string, env: Record<string, string>) {
  const { COUNTERSIGN_KEY: _key, COUNTERSIGN_TOKEN: _token, ...clean } = process.env
  const child = spawn(command, [`examples/${file}`], { cwd: ROOT, env: { ...clean, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk
    })
  const exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return {
    child,
    exited,
    output: () => output,
    /** Resolves when it has printed this. */
    prints: (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => {
          if (output.includes(text)) resolve()
        }
        child.stdout.on('data', look)
        child.stderr.on('data', look)
        look()
        void exited.then((code) => reject(new Error(`${file} ended (${code}) without «${text}»:\n${output}`)))
      }),
  }
}
