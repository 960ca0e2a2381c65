import { createRouter, createWebHistory, type RouteLocationRaw } from 'vue-router'
import AppShell from './shell/AppShell.vue'

/** The side pane is part of the address, so that the phone's back button closes it. The server answers every address with the page. */
export const router = createRouter({
  history: createWebHistory(),
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

export function toConversation(id: string) {
  return { name: 'conversation', params: { id } } satisfies RouteLocationRaw
}
