// Clients that others wrote have their hosts built in. `redirect` sends what they ask of a host to a sandbox address
// instead, whichever way they ask: Node's https module or fetch. Whatever other host they ask for is refused.
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';

export const given = JSON.parse(process.argv[2]);

export function answer(found) {
  console.log(JSON.stringify(found));
}

export function redirect(hosts) {
  const moved = (url) => {
    const base = hosts[url.hostname];
    if (!base) throw new Error(`nobody may ask ${url.hostname}`);
    return new URL(base.replace(/\/$/, '') + url.pathname + url.search);
  };
  https.request = ({ host, path, method, headers }, heard) =>
    http.request(moved(new URL(path, `https://${host}`)), { method, headers }, heard);
  syncBuiltinESMExports();
  const fetchWithin = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const asked = new Request(input, init);
    const body = ['GET', 'HEAD'].includes(asked.method) ? undefined : await asked.arrayBuffer();
    return fetchWithin(moved(new URL(asked.url)), { method: asked.method, headers: asked.headers, body });
  };
}
