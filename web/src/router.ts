import { createRouter, createWebHashHistory, type RouteLocationRaw } from 'vue-router'
import AppShell from './shell/AppShell.vue'

/**
 * Addresses live behind the `#`: the page then works below any path and on any static server, and an invite code in a link
 * never reaches a server's log. The side pane is part of the address, so that the phone's back button closes it.
 */
export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    {
      path: '/',
      component: AppShell,
      children: [
        { path: '', name: 'home', component: () => import('./shell/NothingChosen.vue') },
        {
          path: 'c/:id',
          name: 'conversation',
          props: true,
          component: () => import('./conversation/ConversationView.vue'),
        },
      ],
    },
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})

export function toConversation(id: string): RouteLocationRaw {
  return { name: 'conversation', params: { id } }
}
