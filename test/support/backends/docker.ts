import { getContainerRuntimeClient } from 'testcontainers'

/** True when containers can be run here, as testcontainers finds it: DOCKER_HOST, the context, the usual sockets. */
export async function isDockerReachable(): Promise<boolean> {
  try {
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}
