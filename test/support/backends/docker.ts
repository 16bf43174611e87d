import { getContainerRuntimeClient } from 'testcontainers'
import type { StartedBackend } from './backend.ts'

/**
 * A container, else a process of our own where no container can be had. COUNTERSIGN_TEST_BACKENDS says `docker` or
 * `native` to have that one or none.
 */
export async function inContainerElseNative(
  startContainer: () => Promise<StartedBackend>,
  startNative: () => Promise<StartedBackend>,
): Promise<StartedBackend> {
  const { COUNTERSIGN_TEST_BACKENDS: wanted = '' } = process.env
  if (!['', 'docker', 'native'].includes(wanted)) throw new Error(`COUNTERSIGN_TEST_BACKENDS must be docker or native`)
  if (wanted === 'docker') return startContainer()
  if (wanted === 'native' || !(await isDockerReachable())) return startNative()
  try {
    return await startContainer()
  } catch (error) {
    // An engine that cannot get the image is as good as none.
    console.warn(`no container: ${error instanceof Error ? error.message : String(error)}`)
    return startNative()
  }
}

/** True when containers can be run here, as testcontainers finds it: DOCKER_HOST, the context, the usual sockets. */
async function isDockerReachable(): Promise<boolean> {
  try {
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}
