import { describe, expect, it, vi } from 'vitest'
import { kafkaConfig } from '../../../../lib/adapters/kafka/client.ts'

const settings = { requestTimeoutMs: 1_000, retry: { retries: 1 } }
const plain = { brokers: ['a:9092', 'b:9092'], clientId: 'gate-1' }

describe('the configuration of kafkajs', () => {
  it('names the brokers and the client, and says nothing of security when there is none', () => {
    const config = kafkaConfig({ connection: plain, ...settings })
    expect(config).toMatchObject({ ...plain, requestTimeout: 1_000, retry: { retries: 1 } })
    expect(config).not.toHaveProperty('ssl')
    expect(config).not.toHaveProperty('sasl')
    expect(kafkaConfig({ connection: { ...plain, ssl: false }, ...settings })).not.toHaveProperty('ssl')
  })

  it.each([
    { mechanism: 'plain', username: 'countersign', password: 'secret' },
    { mechanism: 'scram-sha-256', username: 'countersign', password: 'secret' },
    { mechanism: 'scram-sha-512', username: 'countersign', password: 'secret' },
  ] as const)('passes $mechanism and TLS through', (sasl) => {
    const ssl = { ca: 'PEM', cert: 'PEM', key: 'PEM' }
    expect(kafkaConfig({ connection: { ...plain, ssl, sasl }, ...settings })).toMatchObject({ ssl, sasl })
    expect(kafkaConfig({ connection: { ...plain, ssl: true, sasl }, ...settings })).toMatchObject({ ssl: true, sasl })
  })

  it('keeps what kafkajs says for debugging', () => {
    const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn() }
    const log = kafkaConfig({ connection: plain, ...settings, logger }).logCreator?.(1)
    const said = { message: 'Connection error', timestamp: '', error: 'ECONNREFUSED', broker: 'a:9092', stack: '…' }
    log?.({ namespace: 'Connection', level: 1, label: 'ERROR', log: said })
    const details = { kafkajs: 'Connection', error: 'ECONNREFUSED', broker: 'a:9092' }
    expect(logger.debug).toHaveBeenCalledExactlyOnceWith(details, 'Connection error')
    expect(logger.warn).not.toHaveBeenCalled()
  })
})
