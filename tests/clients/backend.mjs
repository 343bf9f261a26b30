// A shop's backend on node: sends one of everything with Segment's client, unmodified, and prints what went wrong.
import { Analytics } from '@segment/analytics-node'

const [host, writeKey, flushAt] = process.argv.slice(2)
const errors = []
const analytics = new Analytics({ host, writeKey, flushAt: Number(flushAt), maxRetries: 2 })
analytics.on('error', (error) => errors.push(String(error.reason ?? error.code ?? error)))

const context = { consent: { categoryPreferences: { personalization: true, analytics: true } } }
const properties = { product_id: 'mug', price: 12.5, category: 'coffee' }
const userId = 'mira'
analytics.identify({ userId, anonymousId: 'anon-2', traits: { firstName: 'Mira' }, context })
for (let count = 0; count < 5; count++) analytics.track({ userId, event: 'Product Viewed', properties, context })
const order = { order_id: '2', subtotal: 50.05, total: 50.05, currency: 'EUR', products: [properties] }
analytics.track({ userId, event: 'Order Completed', properties: order, context })
analytics.page({ userId, name: 'home', properties: { path: '/' }, context })
analytics.screen({ userId, name: 'home', context })
analytics.group({ userId, groupId: 'club', context })
analytics.alias({ userId, previousId: 'anon-before', context })
await analytics.closeAndFlush()
console.log(JSON.stringify(errors))
