import { existsSync, readFileSync } from 'node:fs'

/** The version in package.json, found from the source tree and from dist/ alike. */
export const VERSION: string = (() => {
  for (const path of ['../../package.json', '../../../package.json']) {
    const url = new URL(path, import.meta.url)
    if (existsSync(url)) return String(JSON.parse(readFileSync(url, 'utf8')).version)
  }
  return '0.0.0'
})()
