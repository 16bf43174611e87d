import { compare, type Plan } from './comparison.ts'
import { machine } from './machine.ts'
import { report } from './report.ts'
import { startCountersign, startFloor } from './target.ts'

const PLAN: Plan = { inFlight: [1, 32, 100], rounds: 5, secondsPerRound: 2.5, warmUpSeconds: 6 }

/**
 * Embedded Countersign beside its floor, in one run: durable cycles a second and the time from a decision to the
 * resumed call. Its files are in `root`.
 */
export async function embedded(root: string): Promise<void> {
  const facts = machine(root)
  const [countersign, floor] = await Promise.all([startCountersign(root), startFloor(root)])
  const levels = await compare({ countersign, floor }, PLAN)
  await Promise.all([countersign.close(), floor.close()])
  report('embedded', { machine: facts, settings: PLAN, levels })
}
