import { existsSync } from 'node:fs'
import { join } from 'node:path'
import helmet from '@fastify/helmet'
import staticFiles from '@fastify/static'
import type { FastifyPluginAsync } from 'fastify'
import { CountersignError } from '../../lib/core/errors.ts'

/** The built page: one document for its views, and files with a hash in their name that never change. */
export const page: FastifyPluginAsync<{ directory: string }> = async (app, { directory }) => {
  // The page is what signs a person in, so it is open; everything that it shows is not.
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'public' }
    route.schema = { ...route.schema, hide: true }
  })
  await app.register(helmet, {
    hsts: false,
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    },
  })
  const isBuilt = existsSync(join(directory, 'index.html'))
  if (isBuilt)
    await app.register(staticFiles, {
      root: join(directory, 'assets'),
      prefix: '/assets/',
      immutable: true,
      maxAge: '365d',
      index: false,
    })
  for (const path of ['/', '/login'])
    app.get(path, async (_request, reply) => {
      if (!isBuilt) throw new CountersignError('not_found', 'The page is not built. Run `npm run build`.')
      return reply
        .header('cache-control', 'no-cache')
        .sendFile('index.html', directory, { immutable: false, maxAge: 0 })
    })
}
