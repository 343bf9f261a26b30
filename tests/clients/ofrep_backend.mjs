// A shop's backend on node: evaluates what it is given with OpenFeature's SDK and OFREP provider, unmodified, and
// prints what each evaluation came to. A sleeping provider (429) is asked again at once.
import { OFREPProvider } from '@openfeature/ofrep-provider'
import { OpenFeature } from '@openfeature/server-sdk'

const [baseUrl, headers, evaluations] = process.argv.slice(2)
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: JSON.parse(headers) }))
const client = OpenFeature.getClient()
const found = []
for (const { flag, fallback, context } of JSON.parse(evaluations)) {
  const evaluate = typeof fallback === 'string' ? 'getStringDetails' : 'getObjectDetails'
  found.push(await client[evaluate](flag, fallback, context))
}
console.log(JSON.stringify(found))
await OpenFeature.close()
