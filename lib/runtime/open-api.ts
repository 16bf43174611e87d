import swagger from '@fastify/swagger'
import fastifyPlugin from 'fastify-plugin'
import { ANYBODY } from './access.ts'
import { VERSION } from './version.ts'

/** OpenAPI 3.1 at /openapi.json, made from the schemas that the routes validate with. */
export const openApi = fastifyPlugin(
  async (app) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Countersign',
          version: VERSION,
          description: 'A person between an AI agent and a dangerous action.',
          license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
        },
        components: {
          securitySchemes: {
            bearer: { type: 'http', scheme: 'bearer', description: 'An agent key (csk_…) or a token (cst_…).' },
            session: { type: 'apiKey', in: 'cookie', name: 'countersign_session' },
          },
        },
        security: [{ bearer: [] }, { session: [] }],
      },
    })
    app.get('/openapi.json', { schema: { hide: true }, config: { access: ANYBODY } }, async () => app.swagger())
  },
  { name: 'open-api' },
)
