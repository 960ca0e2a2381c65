import { readFileSync } from 'node:fs'
import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** The server the page talks to while it is being worked on. */
const server = process.env.PARLEY_DEV_SERVER ?? 'http://127.0.0.1:8000'

/** Puts the API's reader beside the page, so that the server's `/docs` loads nothing from elsewhere. */
function swagger(): Plugin {
  return {
    name: 'parley:swagger',
    apply: 'build',
    generateBundle() {
      for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js', 'LICENSE']) {
        const source = readFileSync(path(`./node_modules/swagger-ui-dist/${name}`))
        this.emitFile({ type: 'asset', fileName: `swagger/${name}`, source })
      }
    },
  }
}

export default defineConfig({
  plugins: [vue(), swagger()],
  resolve: {
    alias: {
      '@parley/sdk': path('../sdk/typescript/src/index.ts'),
      '@': path('./src'),
    },
  },
  define: {
    __VUE_OPTIONS_API__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
    __VUE_I18N_LEGACY_API__: false,
  },
  server: {
    port: 5173,
    fs: { allow: ['..'] },
    proxy: { '/api': { target: server, ws: true } },
  },
  build: {
    // An inlined asset would be a data: address where the policy allows none.
    assetsInlineLimit: 0,
  },
  test: {
    environment: 'happy-dom',
    include: ['tests/**/*.test.ts'],
  },
})
