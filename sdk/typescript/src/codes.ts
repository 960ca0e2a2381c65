// Made from spec/codes.toml by scripts/codes.mjs (`npm run codes`). Do not edit.

/** Every error the server can give. `code` and `name` are public and never change their meaning; the text is not. */
export const ERRORS = {
  bad_payload: { code: 1001, http: 400, retryable: false, text: 'The request is not of the documented shape.' },
  unknown_type: { code: 1002, http: 400, retryable: false, text: 'There is no command of this type.' },
  too_long: { code: 1003, http: 413, retryable: false, text: 'Something in the request is longer than the limit.' },
  not_found: { code: 1004, http: 404, retryable: false, text: 'There is nothing here.' },
  unsupported: { code: 1005, http: 409, retryable: false, text: 'This is not possible for this kind of thing.' },
  unauthenticated: { code: 1101, http: 401, retryable: false, text: 'Sign in first.' },
  invalid_credentials: { code: 1102, http: 401, retryable: false, text: 'The user name or the password is wrong.' },
  session_ended: { code: 1103, http: 401, retryable: false, text: 'This session has ended. Sign in again.' },
  forbidden: { code: 1104, http: 403, retryable: false, text: 'You may not do this.' },
  registration_closed: { code: 1105, http: 403, retryable: false, text: 'This server takes no new accounts.' },
  invalid_invite: { code: 1106, http: 403, retryable: false, text: 'A valid invite is needed.' },
  setup_code_required: { code: 1107, http: 403, retryable: false, text: 'The first account needs the set-up code that the server printed when it started.' },
  origin_refused: { code: 1108, http: 403, retryable: false, text: 'Requests from this origin are not allowed.' },
  username_taken: { code: 1109, http: 409, retryable: false, text: 'This user name is taken.' },
  refresh_reused: { code: 1110, http: 401, retryable: false, text: 'This refresh token was used before; its session has been ended.' },
  rate_limited: { code: 1201, http: 429, retryable: true, text: 'Too many requests. Try again shortly.' },
  too_many_connections: { code: 1202, http: 429, retryable: true, text: 'Too many connections.' },
  busy: { code: 1203, http: 503, retryable: true, text: 'The server is busy. Nothing was done; try again.' },
  limit_reached: { code: 1204, http: 409, retryable: false, text: 'A limit of this server has been reached.' },
  unknown_conversation: { code: 1301, http: 404, retryable: false, text: 'There is no such conversation.' },
  not_a_member: { code: 1302, http: 403, retryable: false, text: 'You are not a member of this conversation.' },
  unknown_message: { code: 1303, http: 404, retryable: false, text: 'There is no such message in this conversation.' },
  message_deleted: { code: 1304, http: 410, retryable: false, text: 'This message has been deleted.' },
  role_required: { code: 1305, http: 403, retryable: false, text: 'Your role in this conversation does not allow this.' },
  conversation_closed: { code: 1306, http: 409, retryable: false, text: 'This conversation is closed.' },
  unknown_user: { code: 1307, http: 404, retryable: false, text: 'There is no such user.' },
  name_taken: { code: 1308, http: 409, retryable: false, text: 'This name is taken.' },
  invite_only: { code: 1309, http: 403, retryable: false, text: 'This room can be joined by invitation only.' },
  owner_must_transfer: { code: 1310, http: 409, retryable: false, text: 'The owner must pass on the ownership first.' },
  unknown_file: { code: 1311, http: 404, retryable: false, text: 'There is no such file here, or its upload is not complete.' },
  offset_mismatch: { code: 1312, http: 409, retryable: false, text: 'The upload does not go on from there. Ask for its offset.' },
  checksum_mismatch: { code: 1313, http: 460, retryable: false, text: 'What arrived is not what was sent. Send it again from the offset.' },
  upload_locked: { code: 1314, http: 423, retryable: false, text: 'Another request is writing to this upload.' },
  file_too_large: { code: 1315, http: 413, retryable: false, text: 'The file is larger than this server takes.' },
  quota_exceeded: { code: 1316, http: 413, retryable: false, text: 'There is no room left for this file.' },
  upload_elsewhere: { code: 1317, http: 503, retryable: true, text: 'This upload lies on another node. Try again.' },
  invalid_link: { code: 1318, http: 403, retryable: false, text: 'This link is not valid, or not any more.' },
  storage_unavailable: { code: 1401, http: 503, retryable: true, text: 'The message could not be stored just now. Try again.' },
  draining: { code: 1402, http: 503, retryable: true, text: 'The server is restarting. Try again in a moment.' },
  outcome_unknown: { code: 1403, http: 503, retryable: true, text: 'It is not known yet whether this was stored. Repeat it with the same client_id.' },
  assistant_unavailable: { code: 1411, http: 503, retryable: true, text: 'There is no assistant here, or it cannot be asked just now.' },
  assistant_busy: { code: 1412, http: 503, retryable: true, text: 'The assistant has as many questions waiting as it takes. Ask again later.' },
  assistant_budget: { code: 1413, http: 429, retryable: true, text: 'Today\'s budget of the assistant is used up.' },
  assistant_failed: { code: 1414, http: 502, retryable: true, text: 'The assistant could not answer.' },
  internal: { code: 1500, http: 500, retryable: true, text: 'Something went wrong on the server.' },
} as const

export type ErrorName = keyof typeof ERRORS

/** Close codes of a socket; `again`: come back and resume. */
export const CLOSES = {
  going_away: { code: 1001, again: true },
  not_utf8: { code: 1007, again: true },
  malformed_flood: { code: 1008, again: true },
  too_big: { code: 1009, again: true },
  slow_consumer: { code: 4001, again: true },
  heartbeat_missed: { code: 4002, again: true },
  draining: { code: 4003, again: true },
  session_ended: { code: 4500, again: false },
  replaced: { code: 4501, again: false },
  banned: { code: 4502, again: false },
} as const

export type CloseName = keyof typeof CLOSES
