// What a shop's page does with OpenFeature's web SDK and OFREP provider, unmodified: loaded by an import map.
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider'
import { ClientProviderEvents, OpenFeature } from '@openfeature/web-sdk'

const changes = []
const troubles = []
OpenFeature.addHandler(ClientProviderEvents.ConfigurationChanged, (event) => changes.push(event.flagsChanged))
for (const name of ['Error', 'Stale']) {
  OpenFeature.addHandler(ClientProviderEvents[name], (event) => troubles.push(`${name}: ${event.message}`))
}

window.page = {
  changes,
  troubles,
  async start (options, context) {
    const provider = new OFREPWebProvider(options)
    try {
      await OpenFeature.setProviderAndWait(provider, context)
    } catch (error) {
      return `${error.name}: ${error.message}`
    }
    return 'ready'
  },
  details: (flag, fallback) => OpenFeature.getClient().getObjectDetails(flag, fallback),
  text: (flag, fallback) => OpenFeature.getClient().getObjectDetails(flag, fallback).value.text,
  context: (context) => OpenFeature.setContext(context),
  close: () => OpenFeature.close()
}
document.title = 'loaded'
