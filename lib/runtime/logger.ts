import { type DestinationStream, type LoggerOptions, pino, stdSerializers } from 'pino'

export type Logger = import('pino').Logger

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

export const isLogLevel = (text: string): boolean => LEVELS.includes(text)

/**
 * JSON lines on stderr: stdout belongs to the command line's results. Requests are logged without headers and query,
 * which may hold credentials.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: {
      err: stdSerializers.err,
      req: (request: { method: string; url: string }) => ({ method: request.method, path: request.url.split('?')[0] }),
    },
  }
  return pino(options, destination ?? pino.destination({ fd: 2, sync: false }))
}
