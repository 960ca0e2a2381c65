import { ParleyClient } from '@parley/sdk'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { CLIENT } from './client'
import { i18n } from './locales'
import { router } from './router'
import './styles/tokens.css'
import './styles/base.css'

// The session is a cookie that no script can read, so the client is given no token.
const client = new ParleyClient()

createApp(App).provide(CLIENT, client).use(createPinia()).use(i18n).use(router).mount('#app')
