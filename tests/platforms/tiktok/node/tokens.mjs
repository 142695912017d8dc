// arctic exchanges a code, renews the tokens, and ends the grant; what it throws on the way is told by its name.
import { answer, given, redirect } from './loopback.mjs';

redirect({ 'open.tiktokapis.com': given.api });
const arctic = await import('arctic');
const tiktok = new arctic.TikTok(given.key, given.secret, given.back);
const told = async (work) => {
  try {
    return await work();
  } catch (error) {
    return { error: error.constructor.name, code: error.code ?? error.message };
  }
};
const kept = (tokens) => ({ ...tokens.data, scopes: tokens.hasScopes() ? tokens.scopes() : [], ends: tokens.accessTokenExpiresAt() });
const first = await told(async () => kept(await tiktok.validateAuthorizationCode(given.code, given.verifier)));
const again = await told(async () => kept(await tiktok.validateAuthorizationCode(given.code, given.verifier)));
const second = await told(async () => kept(await tiktok.refreshAccessToken(first.refresh_token)));
const spent = await told(async () => kept(await tiktok.refreshAccessToken(first.refresh_token)));
const revoked = await told(async () => (await tiktok.revokeToken(second.access_token)) ?? 'done');
answer({ first, again, second, spent, revoked });
