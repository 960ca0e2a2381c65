/**
 * The nouns of the SDK.
 *
 * What travels keeps the names it has on the wire (`read_seq`, `last_message`), so that spec/protocol.md is its documentation;
 * what belongs to the SDK alone is written in camelCase (`clientId`, `reconnectAt`).
 * Ids are strings everywhere: a message id has 64 bits, and a JavaScript number cannot hold it.
 */
export * from './types/basics.js'
export * from './types/accounts.js'
export * from './types/bots.js'
export * from './types/files.js'
export * from './types/messages.js'
export * from './types/conversations.js'
export * from './types/log.js'
export * from './types/sending.js'
export * from './types/connection.js'
export * from './types/events.js'
export * from './types/options.js'
