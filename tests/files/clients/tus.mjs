// Sends one file with tus-js-client, as a page would, for as long as it takes: node tus.mjs ENDPOINT TOKEN FILE
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import * as tus from 'tus-js-client'

const [endpoint, token, file] = process.argv.slice(2)
const upload = new tus.Upload(createReadStream(file), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: basename(file), filetype: 'image/png' },
  retryDelays: Array.from({ length: 200 }, () => 300),
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => console.log(upload.url),
})
upload.start()
