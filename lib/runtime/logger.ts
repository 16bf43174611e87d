import { type DestinationStream, type LoggerOptions, pino, stdSerializers } from 'pino'

export type Logger = import('pino').Logger

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

export const isLogLevel = (text: string): boolean => LEVELS.includes(text)

/**
 * JSON lines on stderr: stdout belongs to the command line's results. Requests are logged without headers, query, and
 * the token of a callback, which may hold or are credentials.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: {
      err: stdSerializers.err,
      req: (request: { method: string; url: string }) => ({ method: request.method, path: pathOf(request.url) }),
    },
  }
  return pino(options, destination ?? pino.destination({ fd: 2, sync: false }))
}

const pathOf = (url: string): string | undefined => url.split('?')[0]?.replace(/(\/v1\/callbacks\/).*/, '$1…')
