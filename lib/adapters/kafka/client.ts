import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { type ISocketFactory, Kafka, type KafkaConfig, logLevel, type RetryOptions, type SASLOptions } from 'kafkajs'

/** How to reach Kafka, as `kafkajs` takes it. */
export interface KafkaConnection {
  /** `host:port`, one or more of the cluster. */
  brokers: readonly string[]
  /** True trusts the system's authorities; TLS options name others, or a client certificate. Default: no TLS. */
  ssl?: boolean | ConnectionOptions
  sasl?: SASLOptions
  clientId: string
}

/** Where the adapter says what it could not do; a pino logger fits. */
export interface KafkaLogger {
  debug(details: Record<string, unknown>, message: string): void
  info(details: Record<string, unknown>, message: string): void
  warn(details: Record<string, unknown>, message: string): void
}

/** A kafkajs client whose connections can be seen and cut. */
export interface Client {
  kafka: Kafka
  isConnected(): boolean
  /** Cuts all connections and allows no new one: what still runs on this client fails instead of waiting. */
  sever(): void
}

interface ClientOptions {
  connection: KafkaConnection
  requestTimeoutMs: number
  retry: RetryOptions
  logger?: KafkaLogger | undefined
  /** The last connection is gone. */
  onDisconnected?: () => void
}

const CONNECT_TIMEOUT_MS = 3_000
const KEEP_ALIVE_MS = 60_000

/** A client of its own for each producer and consumer: cutting one leaves the others alone. Connects when it is used. */
export function openClient({ onDisconnected, ...options }: ClientOptions): Client {
  const open = new Set<Socket>()
  let severed = false

  const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (severed) throw new Error('this client is closed')
    const target = { host, port }
    const connected = () => {
      open.add(socket)
      onConnect()
    }
    const named = isIP(host) ? target : { ...target, servername: host }
    const socket: Socket = ssl ? connectTls({ ...named, ...ssl }, connected) : connectTcp(target, connected)
    // Requests are small and each is waited for.
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
    sockets.add(socket)
    return socket.once('close', () => {
      sockets.delete(socket)
      if (open.delete(socket) && open.size === 0) onDisconnected?.()
    })
  }
  const sockets = new Set<Socket>()

  return {
    kafka: new Kafka({ ...kafkaConfig(options), socketFactory }),
    isConnected: () => open.size > 0,
    sever: () => {
      severed = true
      // kafkajs hears of an error, but not of a socket that is merely destroyed.
      for (const socket of sockets) socket.destroy(new Error('this client is closed'))
    },
  }
}

/** What kafkajs is told. */
export function kafkaConfig({ connection, requestTimeoutMs, retry, logger }: ClientOptions): KafkaConfig {
  const { brokers, clientId, ssl, sasl } = connection
  return {
    brokers: [...brokers],
    clientId,
    ...(ssl ? { ssl } : {}),
    ...(sasl ? { sasl } : {}),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: requestTimeoutMs,
    retry,
    logLevel: logLevel.WARN,
    // It calls every broker that restarts an error, several times: what matters the adapter says itself.
    logCreator:
      () =>
      ({ namespace, log: { message, error, groupId, broker } }) =>
        logger?.debug({ kafkajs: namespace, error, groupId, broker }, message),
  }
}
