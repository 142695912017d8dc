// arctic spells the address of TikTok's consent page.
import { answer, given } from './loopback.mjs';

const { TikTok } = await import('arctic');
const tiktok = new TikTok(given.key, given.secret, given.back);
answer({ url: tiktok.createAuthorizationURL('st', given.verifier, given.scopes).href });
