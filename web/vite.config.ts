import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** The server the page talks to while it is being worked on. */
const server = process.env.PARLEY_DEV_SERVER ?? 'http://127.0.0.1:8000'

export default defineConfig({
  // Relative, so that the built page works below any path.
  base: './',
  plugins: [vue()],
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
